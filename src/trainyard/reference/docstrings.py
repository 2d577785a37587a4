"""What the docstring of a class or function says of it, and of one of its arguments."""

import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

SECTION = re.compile(r"(Args|Arguments|Parameters):$")
ENTRY = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*) ?(?:\(.*?\))? ?: ?(.*)")


@cache
def found(target: str) -> Any:
    """Return the class or function of a dotted name."""
    return pkgutil.resolve_name(target)


def layers(target: Any) -> Iterator[Any]:
    """Yield what may describe arguments: a function; or a class, its `__init__`, and those of its bases."""
    if not isinstance(target, type):
        yield target
        return
    for cls in target.__mro__[:-1]:
        yield cls
        if "__init__" in vars(cls):
            yield vars(cls)["__init__"]


def documentation(thing: Any) -> str:
    """Return its own docstring, not one that it has inherited."""
    return inspect.cleandoc(vars(thing).get("__doc__") or "" if isinstance(thing, type) else thing.__doc__ or "")


def summary(target: str) -> str:
    """Return the first sentence of a docstring."""
    paragraph = documentation(found(target)).partition("\n\n")[0]
    return first_sentence(plain(paragraph))


def argument(target: str, name: str) -> str:
    """Return what the docstring of a callable, or of a base class, says of an argument; nothing where none does.

    Of a class that is not the project's own it is the first sentence: what follows is about the library.
    """
    for layer in layers(found(target)):
        text = arguments(documentation(layer)).get(name)
        if text:
            text = plain(text)
            return text if layer.__module__.startswith("trainyard.") else first_sentence(text)
    return ""


def arguments(text: str) -> dict[str, str]:
    """Return the entries of the section `Args:` of a docstring, by the name of the argument."""
    lines = iter(text.splitlines())
    for line in lines:
        if SECTION.match(line.strip()):
            break
    entries: dict[str, list[str]] = {}
    names: list[str] = []
    depth = None
    for line in lines:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        depth = indent if depth is None else depth
        if indent < depth or indent == 0:
            break
        entry = ENTRY.match(line.strip()) if indent == depth else None
        if entry:
            names = [name.strip(" *") for name in entry[1].split(",")]
            entries |= {name: [] for name in names}
        for name in names:
            entries[name].append(entry[2] if entry else line.strip())
    return {name: " ".join(filter(None, words)) for name, words in entries.items()}


def plain(text: str) -> str:
    """Return a text without the roles and double backticks of reStructuredText, and without defaults told again."""
    text = " ".join(text.split())
    text = re.sub(r":\w+(?::\w+)?:`~?\.?([^`]*)`", r"`\1`", text)
    text = re.sub(r"``+([^`]*)``+", r"`\1`", text)
    return re.sub(r"\s*(?:\(default: .*?\)+|Defaults? ?(?:to|:).*)", "", text).strip()


def first_sentence(text: str) -> str:
    """Return the text up to its first full stop."""
    return re.split(r"(?<=[.])\s", text, maxsplit=1)[0]
