"""Where Hydra searches for configs."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from trainyard.config import composition as composition  # its resolvers, for an app that uses the built-in configs
from trainyard.config.config_folders import added


class UserConfigs(SearchPathPlugin):
    """Lets the user's folders precede the built-in configs; Hydra would search that of `--config-dir` after them."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Insert the folders before that of the program. No effect in other programs than Trainyard's."""
        for folder in added:
            search_path.prepend("trainyard", f"file://{folder}", "main")
