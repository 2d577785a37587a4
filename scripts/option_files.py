"""Reads the files of `conf/` for the reference: their keys as written, and what explains each key."""

import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from griffe import Docstring, DocstringSectionKind

from trainyard.config.composition import CONF_DIR

HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_")
SPACE = "sweep.params."  # followed by keys of other groups


@dataclass(frozen=True)
class Entry:
    """A key of a file: the value as written, the comment after it, and the class that a mapping builds."""

    value: str
    comment: str = ""
    target: str = ""


@dataclass
class OptionFile:
    """A file, named relative to `conf/`, such as `data/digits`; the entry of the key `""` is the whole file."""

    name: str
    header: list[str] = field(default_factory=list)
    package: str = ""
    bases: list[str] = field(default_factory=list)
    choices: dict[str, Entry] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The config group; empty for `train`."""
        return self.name.split("/")[0] if "/" in self.name else ""

    @property
    def option(self) -> str:
        """The word after `group=`."""
        return self.name.partition("/")[2] or self.name

    def typed(self, key: str) -> str:
        """Return a key as typed on the command line."""
        return ".".join(filter(None, (self.package, key)))


@cache
def read(name: str) -> OptionFile:
    """Read `conf/NAME.yaml`."""
    text = (CONF_DIR / f"{name}.yaml").read_text(encoding="utf-8")
    file = OptionFile(name)
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    above = re.match(r"(?:#.*\n)*", text)
    assert above is not None
    header = [line[1:].strip() for line in above[0].splitlines()]
    packages = [line.split()[1] for line in comments if line.startswith("@package")]
    file.package = (packages or [file.group])[0].replace("_global_", "")
    file.header = [line for line in header if not line.startswith("@")]
    root = yaml.compose(text)
    if root is not None:
        add_entries(file, text, root, "")
        add_defaults(file, text, root)
    return file


def add_entries(file: OptionFile, text: str, node: yaml.MappingNode, key: str) -> None:
    """Add the keys of a mapping, recursively."""
    for name, value in node.value:
        if (name.value == "defaults" and not key) or name.value in HYDRA_KEYS:
            continue
        path = f"{key}.{name.value}" if key else name.value
        comment = comment_after(text, name if value.start_mark.line > name.end_mark.line else value)
        if isinstance(value, yaml.MappingNode) and value.value:
            file.entries[path] = Entry("", comment, target_of(value))
            add_entries(file, text, value, path)
        else:
            file.entries[path] = Entry(text[value.start_mark.index : value.end_mark.index], comment)
    if not key:
        file.entries[""] = Entry("", target=target_of(node))


def comment_after(text: str, node: yaml.Node) -> str:
    """Return the comment at the end of the line on which a node ends."""
    rest = text[node.end_mark.index :].partition("\n")[0]
    match = re.search(r"(?:^|\s)#\s+(.*)", rest)
    return match[1] if match else ""


def target_of(node: yaml.MappingNode) -> str:
    """Return the `_target_` of a mapping, if it has one."""
    return next((value.value for name, value in node.value if name.value == "_target_"), "")


def add_defaults(file: OptionFile, text: str, root: yaml.MappingNode) -> None:
    """Add the files that a file extends, and the options of other groups that it chooses."""
    lines: list[yaml.Node] = next((value.value for name, value in root.value if name.value == "defaults"), [])
    for line in lines:
        if isinstance(line, yaml.MappingNode):
            ((group, option),) = line.value
            group_name = group.value.removeprefix("override ").lstrip("/")
            file.choices[group_name] = Entry(option.value, comment_after(text, option))
        elif line.value != "_self_":
            file.bases.append(f"{file.group}/{line.value.partition('@')[0]}")


def all_files() -> list[OptionFile]:
    """Return every file of `conf/`, by name."""
    paths = sorted(CONF_DIR.rglob("*.yaml"))
    return [read(path.relative_to(CONF_DIR).with_suffix("").as_posix()) for path in paths]


def options_of(group: str) -> list[OptionFile]:
    """Return the files of a group: the default option, then the others by name, then shared files."""
    files = [file for file in all_files() if file.group == group]
    default = read("train").choices[group].value
    return sorted(files, key=lambda file: (file.option != default, "/" in file.option, file.option))


def groups() -> list[str]:
    """Return the config groups in the order of the defaults of `conf/train.yaml`."""
    return [group for group in read("train").choices if Path(CONF_DIR, group).is_dir()]


def merged(file: OptionFile) -> dict[str, Entry]:
    """Return the entries of an option as Hydra composes it: those of the files it extends, then its own."""
    entries: dict[str, Entry] = {}
    for base in file.bases:
        overlay(entries, merged(read(base)))
    overlay(entries, file.entries)
    return entries


def overlay(entries: dict[str, Entry], above: dict[str, Entry]) -> None:
    """Merge entries into others, whose comments and targets are kept where the new entry has none."""
    for key, entry in above.items():
        before = entries.get(key, Entry(""))
        if entry.value and not before.value:  # replaces a mapping
            for inside in [other for other in entries if key and other.startswith(f"{key}.")]:
                del entries[inside]
        target = entry.target if entry.value else entry.target or before.target
        entries[key] = Entry(entry.value, entry.comment or before.comment, target)


def explanation(file: OptionFile, key: str) -> str:
    """Return the meaning of a key: a comment of its own file, or of other options, or from a docstring."""
    typed = file.typed(key)
    if typed.startswith(SPACE):
        return explanation_in_group(typed.removeprefix(SPACE), file)
    siblings = (own_explanation(option, key) for option in other_options(file.group, file)) if file.group else ()
    return own_explanation(file, key) or first(siblings) or explanation_in_group(typed, file)


def own_explanation(file: OptionFile, key: str) -> str:
    """Return the meaning of a key according to an option's own files, or the docstring of what it builds."""
    entries = merged(file)
    entry = entries.get(key, Entry(""))
    if entry.comment or entry.target:
        return entry.comment or summary(entry.target)
    parent, _, name = key.rpartition(".")
    holder = entries.get(parent, Entry("")).target
    return argument(holder, name) if holder else ""


def explanation_in_group(typed: str, besides: OptionFile) -> str:
    """Return the meaning of a key according to the options of its group."""
    group, _, key = typed.partition(".")
    train = read("train")
    if group not in train.choices:
        return own_explanation(train, typed)
    if not key:
        return train.choices[group].comment
    return first(own_explanation(option, key) for option in other_options(group, besides))


def other_options(group: str, file: OptionFile) -> list[OptionFile]:
    """Return the other options of a group: the one that a file chooses, the default one, the rest."""
    varied = file.entries.get(f"params.{group}")  # of a sweep
    choices = [varied, file.choices.get(group), read("train").choices.get(group)]
    before = [choice.value for choice in choices if choice]
    options = [option for option in options_of(group) if option is not file]
    return sorted(options, key=lambda option: ([*before, option.option]).index(option.option))


def first(texts: Iterable[str]) -> str:
    """Return the first text that is not empty."""
    return next(filter(None, texts), "")


def summary(target: str) -> str:
    """Return the first sentence of the docstring of a class or function."""
    return first_sentence(plain(docstring(pkgutil.resolve_name(target)).partition("\n\n")[0]))


def argument(target: str, name: str) -> str:
    """Return the description of an argument in the docstring of a callable or of a base class, or "".

    Of other packages only the first sentence is used: the rest is about the library.
    """
    for thing in documented(pkgutil.resolve_name(target)):
        text = plain(arguments(docstring(thing)).get(name, ""))
        if text:
            return text if thing.__module__.startswith("trainyard.") else first_sentence(text)
    return ""


def documented(target: Any) -> Iterator[Any]:
    """Yield what may describe arguments: a function; or a class, its `__init__`, and those of its bases."""
    if not isinstance(target, type):
        yield target
        return
    for cls in target.__mro__[:-1]:
        yield cls
        if "__init__" in vars(cls):
            yield vars(cls)["__init__"]


def docstring(thing: Any) -> str:
    """Return its own docstring, not an inherited one."""
    return inspect.cleandoc(vars(thing).get("__doc__") or "" if isinstance(thing, type) else thing.__doc__ or "")


@cache
def arguments(text: str) -> dict[str, str]:
    """Return the descriptions of arguments in a docstring in Google style."""
    return {
        name.strip(" *"): item.description
        for section in Docstring(text).parse("google", warnings=False)
        if section.kind is DocstringSectionKind.parameters
        for item in section.value
        for name in item.name.split(",")
    }


def plain(text: str) -> str:
    """Return a text without reStructuredText markup and without defaults."""
    text = " ".join(text.split())
    text = re.sub(r":\w+(?::\w+)?:`~?\.?([^`]*)`", r"`\1`", text)
    text = re.sub(r"``+([^`]*)``+", r"`\1`", text)
    return re.sub(r"\s*(?:\(default: .*?\)+|Defaults? ?(?:to|:).*)", "", text).strip()


def first_sentence(text: str) -> str:
    """Return the text up to its first full stop."""
    return re.split(r"(?<=[.])\s", text, maxsplit=1)[0]
