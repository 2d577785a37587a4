"""One file of `conf/`: what it says of itself, its keys as they are written, and the comments beside them."""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from trainyard.config import CONF_DIR

HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_")


@dataclass(frozen=True)
class Entry:
    """What a file states of one key: the value as written, the comment behind it, and what is built from a mapping."""

    value: str
    comment: str = ""
    target: str = ""


@dataclass
class OptionFile:
    """A file, by its name below `conf/`, such as `data/digits`; the entry of the key `""` is the file as a whole."""

    name: str
    header: list[str] = field(default_factory=list)
    package: str = ""
    bases: list[str] = field(default_factory=list)
    choices: dict[str, Entry] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The config group that it is an option of; nothing for `train`."""
        return self.name.split("/")[0] if "/" in self.name else ""

    @property
    def option(self) -> str:
        """The word behind `group=`."""
        return self.name.partition("/")[2] or self.name

    def typed(self, key: str) -> str:
        """Return a key as it is typed on the command line."""
        return ".".join(filter(None, (self.package, key)))


@cache
def read(name: str) -> OptionFile:
    """Return what `conf/NAME.yaml` holds."""
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
    """Write down the keys of a mapping and those inside it."""
    for name, value in node.value:
        if (name.value == "defaults" and not key) or name.value in HYDRA_KEYS:
            continue
        path = f"{key}.{name.value}" if key else name.value
        comment = comment_behind(text, name if value.start_mark.line > name.end_mark.line else value)
        if isinstance(value, yaml.MappingNode) and value.value:
            file.entries[path] = Entry("", comment, target_of(value))
            add_entries(file, text, value, path)
        else:
            file.entries[path] = Entry(text[value.start_mark.index : value.end_mark.index], comment)
    if not key:
        file.entries[""] = Entry("", target=target_of(node))


def comment_behind(text: str, node: yaml.Node) -> str:
    """Return the comment that ends the line on which a node ends."""
    rest = text[node.end_mark.index :].partition("\n")[0]
    found = re.search(r"(?:^|\s)#\s+(.*)", rest)
    return found[1] if found else ""


def target_of(node: yaml.MappingNode) -> str:
    """Return the dotted name of what a mapping builds, if it builds something."""
    return next((value.value for name, value in node.value if name.value == "_target_"), "")


def add_defaults(file: OptionFile, text: str, root: yaml.MappingNode) -> None:
    """Write down the files that a file is built on, and the options of other groups that it chooses."""
    lines: list[yaml.Node] = next((value.value for name, value in root.value if name.value == "defaults"), [])
    for line in lines:
        if isinstance(line, yaml.MappingNode):
            ((group, option),) = line.value
            group_name = group.value.removeprefix("override ").lstrip("/")
            file.choices[group_name] = Entry(option.value, comment_behind(text, option))
        elif line.value != "_self_":
            file.bases.append(f"{file.group}/{line.value.partition('@')[0]}")


def all_files() -> list[OptionFile]:
    """Return every file of `conf/`, by name."""
    paths = sorted(CONF_DIR.rglob("*.yaml"))
    return [read(path.relative_to(CONF_DIR).with_suffix("").as_posix()) for path in paths]


def options_of(group: str) -> list[OptionFile]:
    """Return the files of a group: the default option, the others by name, what several of them share."""
    files = [file for file in all_files() if file.group == group]
    default = read("train").choices[group].value
    return sorted(files, key=lambda file: (file.option != default, "/" in file.option, file.option))


def groups() -> list[str]:
    """Return the config groups in the order of the defaults of `conf/train.yaml`."""
    return [group for group in read("train").choices if Path(CONF_DIR, group).is_dir()]
