"""Read the files in `conf/` for the reference: keys and values as written, and an explanation of each key."""

import inspect
import itertools
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from griffe import Docstring, DocstringSectionKind

from trainyard.config.composition import CONF_DIR

HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_")
SEARCH_SPACE = "sweep.params."  # followed by keys of other groups


@dataclass(frozen=True)
class Entry:
    """A key of a file: its value as written, the comment after it, and the `_target_` of a mapping."""

    value: str
    comment: str = ""
    target: str = ""


@dataclass
class OptionFile:
    """A file, named relative to `conf/`, such as `data/digits`; the key `""` stands for the whole file."""

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
        """The name of the option, as in `group=NAME`."""
        return self.name.partition("/")[2] or self.name

    def full_key(self, key: str) -> str:
        """Return a key with its package, as on the command line."""
        return ".".join(filter(None, (self.package, key)))


@cache
def read_option(name: str) -> OptionFile:
    """Read `conf/NAME.yaml`."""
    text = (CONF_DIR / f"{name}.yaml").read_text(encoding="utf-8")
    file = OptionFile(name)
    comments = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    header = [line[1:].strip() for line in itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())]
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
    """Return the comment at the end of the last line of a node."""
    rest = text[node.end_mark.index :].partition("\n")[0]
    match = re.search(r"(?:^|\s)#\s+(.*)", rest)
    return match[1] if match else ""


def target_of(node: yaml.MappingNode) -> str:
    """Return the `_target_` of a mapping, if it has one."""
    return next((value.value for name, value in node.value if name.value == "_target_"), "")


def add_defaults(file: OptionFile, text: str, root: yaml.MappingNode) -> None:
    """Add the base files of a file, and the options of other groups that it selects."""
    lines: list[yaml.Node] = next((value.value for name, value in root.value if name.value == "defaults"), [])
    for line in lines:
        if isinstance(line, yaml.MappingNode):
            ((group, option),) = line.value
            group_name = group.value.removeprefix("override ").lstrip("/")
            file.choices[group_name] = Entry(option.value or "[]", comment_after(text, option))
        elif line.value != "_self_":
            file.bases.append(f"{file.group}/{line.value.partition('@')[0]}")


def all_files() -> list[OptionFile]:
    """Return every file of `conf/`, by name."""
    paths = sorted(CONF_DIR.rglob("*.yaml"))
    return [read_option(path.relative_to(CONF_DIR).with_suffix("").as_posix()) for path in paths]


def group_options(group: str) -> list[OptionFile]:
    """Return the files of a group: the default option, then the others by name, then shared files."""
    files = [file for file in all_files() if file.group == group]
    default = read_option("train").choices[group].value
    return sorted(files, key=lambda file: (file.option != default, "/" in file.option, file.option))


def config_groups() -> list[str]:
    """Return the config groups in the order of the defaults of `conf/train.yaml`."""
    return [group for group in read_option("train").choices if Path(CONF_DIR, group).is_dir()]


def merged_entries(file: OptionFile) -> dict[str, Entry]:
    """Return the entries of an option as Hydra composes them: those of its base files, then its own."""
    entries: dict[str, Entry] = {}
    for base in file.bases:
        merge_entries(entries, merged_entries(read_option(base)))
    merge_entries(entries, file.entries)
    return entries


def merge_entries(entries: dict[str, Entry], new: dict[str, Entry]) -> None:
    """Merge new entries into others; a new entry without comment or target keeps the previous one."""
    for key, entry in new.items():
        previous = entries.get(key, Entry(""))
        if entry.value and not previous.value:  # a value replaces a mapping
            for nested in [other for other in entries if key and other.startswith(f"{key}.")]:
                del entries[nested]
        target = entry.target if entry.value else entry.target or previous.target
        entries[key] = Entry(entry.value, entry.comment or previous.comment, target)


def explain(file: OptionFile, key: str) -> str:
    """Return the meaning of a key: a comment in its file or in those of other options, or from a docstring."""
    full_key = file.full_key(key)
    if full_key.startswith(SEARCH_SPACE):
        return explain_in_group(full_key.removeprefix(SEARCH_SPACE), file)
    siblings = (explain_by_own_files(option, key) for option in other_options(file.group, file)) if file.group else ()
    return explain_by_own_files(file, key) or next(filter(None, siblings), "") or explain_in_group(full_key, file)


def explain_by_own_files(file: OptionFile, key: str) -> str:
    """Return the meaning of a key from the files of an option, or from the docstring of the class that it builds."""
    entries = merged_entries(file)
    entry = entries.get(key, Entry(""))
    if entry.comment or entry.target:
        return entry.comment or docstring_summary(entry.target)
    parent, _, name = key.rpartition(".")
    target = entries.get(parent, Entry("")).target
    return describe_argument(target, name) if target else ""


def explain_in_group(full_key: str, file: OptionFile) -> str:
    """Return the meaning of a key from the options of its group."""
    group, _, key = full_key.partition(".")
    train = read_option("train")
    if group not in train.choices:
        return explain_by_own_files(train, full_key)
    if not key:
        return train.choices[group].comment
    explanations = (explain_by_own_files(option, key) for option in other_options(group, file))
    return next(filter(None, explanations), "")


def other_options(group: str, file: OptionFile) -> list[OptionFile]:
    """Return the other options of a group: first the one that a file selects, then the default option."""
    swept = file.entries.get(f"params.{group}")
    choices = [swept, file.choices.get(group), read_option("train").choices.get(group)]
    preferred = [choice.value for choice in choices if choice]
    options = [option for option in group_options(group) if option is not file]
    return sorted(options, key=lambda option: ([*preferred, option.option]).index(option.option))


def docstring_summary(target: str) -> str:
    """Return the first sentence of the docstring of a class or function."""
    return first_sentence(strip_markup(docstring(pkgutil.resolve_name(target)).partition("\n\n")[0]))


def describe_argument(target: str, name: str) -> str:
    """Return the description of an argument in the docstring of a callable or of a base class, or "".

    For other packages, only the first sentence: the rest is about the library.
    """
    for documented in documented_objects(pkgutil.resolve_name(target)):
        text = strip_markup(parse_arguments(docstring(documented)).get(name, ""))
        if text:
            return text if documented.__module__.startswith("trainyard.") else first_sentence(text)
    return ""


def documented_objects(target: Any) -> Iterator[Any]:
    """Yield the objects whose docstrings may describe arguments: a function, or classes and their `__init__`."""
    if not isinstance(target, type):
        yield target
        return
    for cls in target.__mro__[:-1]:
        yield cls
        if "__init__" in vars(cls):
            yield vars(cls)["__init__"]


def docstring(documented: Any) -> str:
    """Return the docstring of an object, without indentation."""
    return inspect.cleandoc(documented.__doc__ or "")


@cache
def parse_arguments(text: str) -> dict[str, str]:
    """Return the descriptions of arguments in a docstring in Google style."""
    return {
        name.strip(" *"): item.description
        for section in Docstring(text).parse("google", warnings=False)
        if section.kind is DocstringSectionKind.parameters
        for item in section.value
        for name in item.name.split(",")
    }


def strip_markup(text: str) -> str:
    """Return a string without reStructuredText markup and default values."""
    text = " ".join(text.split())
    text = re.sub(r":\w+(?::\w+)?:`~?\.?([^`]*)`", r"`\1`", text)
    text = re.sub(r"``+([^`]*)``+", r"`\1`", text)
    return re.sub(r"\s*(?:\(default: .*?\)+|Defaults? ?(?:to|:).*)", "", text).strip()


def first_sentence(text: str) -> str:
    """Return the text up to its first full stop."""
    return re.split(r"(?<=[.])\s", text, maxsplit=1)[0]
