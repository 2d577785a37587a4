"""What a run or a checkpoint from someone else may have built: classes of known packages, and of known kinds."""

import importlib
from collections.abc import Sequence
from typing import Any

from trainyard.errors import listing, reject

PACKAGES = ("torch", "torchvision", "timm", "lightning", "torchmetrics", "trainyard")
ACCEPTED = f"classes of {listing(PACKAGES)}; of a package of your own by --trusted-packages NAME"


def check_package(key: str, name: object, trusted: Sequence[str] = ()) -> str:
    """Return the dotted name of a class, if its package is known; nothing is imported.

    Args:
        key: where the name stands, for the error.
        name: such as `torch.nn.ReLU`.
        trusted: packages that the person at the keyboard adds.

    Raises:
        ConfigError: another package, or no dotted name.
    """
    words = name.split(".") if isinstance(name, str) else []
    if len(words) < 2 or not all(map(str.isidentifier, words)) or words[0] not in (*PACKAGES, *trusted):
        raise reject(key, name, "a stored run may not name it", ACCEPTED)
    return ".".join(words)


def foreign_packages(node: Any) -> list[str]:
    """Return the packages that the `_target_` nodes of a plain config name and that are not known."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return []
    found = {name for key, part in node.items() if key != "sweep" for name in foreign_packages(part)}
    own = str(node.get("_target_", PACKAGES[0])).partition(".")[0]
    return sorted(found | {own} - {*PACKAGES})


def trusted_class(key: str, name: object, kinds: type | tuple[type, ...], trusted: Sequence[str] = ()) -> type:
    """Return the class of a dotted name, if a stored run may have it built.

    A known package is not enough: `torch.os.system` begins with one, and torch has functions that load, compile or
    run what they are given. So the class must be defined where a known package says so, and be of a known kind.

    Raises:
        ConfigError: it may not, or there is no such class.
    """
    dotted = check_package(key, name, trusted)
    found = resolved(dotted)
    home = str(getattr(found, "__module__", None)).partition(".")[0]
    if not (isinstance(found, type) and issubclass(found, kinds) and home in (*PACKAGES, *trusted)):
        names = kinds if isinstance(kinds, tuple) else (kinds,)
        raise reject(key, name, f"no {' or '.join(kind.__name__ for kind in names)} of a known package", ACCEPTED)
    return found


def resolved(dotted: str) -> Any:
    """Return what a dotted name stands for; `None` where there is no such thing.

    Modules are imported only below the package itself, never by way of an attribute such as `torch.os`.
    """
    head, *names = dotted.split(".")
    try:
        found: Any = importlib.import_module(head)
    except ImportError:
        return None
    path = head
    for name in names:
        path = f"{path}.{name}"
        try:
            found = getattr(found, name)
        except AttributeError:
            try:
                found = importlib.import_module(path)
            except ImportError:
                return None
    return found
