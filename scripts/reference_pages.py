"""A hook of MkDocs: the reference of the config groups, which is made while the site is built and never stored."""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from trainyard.errors import ConfigError
from trainyard.reference.pages import pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those of `docs/`."""
    try:
        made = pages()
    except ConfigError as error:
        raise PluginError(str(error)) from error
    for name, text in made.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files
