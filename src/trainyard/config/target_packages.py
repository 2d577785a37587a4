"""The packages whose classes and functions a run's config names: the user's own, and those that need trust."""

from collections.abc import Mapping
from typing import Any

from trainyard.config.arguments import target_paths
from trainyard.config.trusted import NOT_BUILT, PLACES, check_target, find_kind, walk_limited
from trainyard.io.errors import ConfigError


def targets(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the `_target_` of each node that a run with this plain config builds, by its dotted path."""
    built = {key: part for key, part in config.items() if key not in NOT_BUILT}
    return target_paths(walk_limited(built))


def user_packages(config: Mapping[str, Any]) -> list[str]:
    """Return the packages in a run's plain config that are neither Trainyard's nor those of its libraries."""
    known = {package.partition(".")[0] for kind in PLACES.values() for package in kind.packages}
    return sorted({target.partition(".")[0] for target in targets(config).values()} - known)


def foreign_packages(config: Mapping[str, Any]) -> list[str]:
    """Return the packages in a run's plain config that need `--trusted-packages`."""
    return sorted({target.partition(".")[0] for path, target in targets(config).items() if not is_known(path, target)})


def is_known(path: str, target: object) -> bool:
    """Return whether a `_target_` may be built at a dotted path without `--trusted-packages`."""
    kind = find_kind(path)
    try:
        return kind is None or bool(check_target(path, target, kind))
    except ConfigError:
        return False
