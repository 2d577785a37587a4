"""The pages of the reference, as Markdown: one for each config group, one for `conf/train.yaml`, and their index."""

from collections.abc import Iterator

from trainyard.errors import ConfigError
from trainyard.ranges import RULES
from trainyard.reference.code_font import code, with_code_font
from trainyard.reference.explanations import SPACE, explanation, merged
from trainyard.reference.option_file import Entry, OptionFile, groups, options_of, read
from trainyard.terminal.markdown import markdown_table

TRAIN = "train"
INTRODUCTION = """\
These pages are made from the files of `conf/` each time the site is built. Choose an option with `group=option`,
change a value of it with `group.key=value`, and try several values of either with `-m`. `--cfg job` behind a command
shows what it composes, and trains nothing. Keys that belong to no group are in [train](train.md)."""


def pages() -> dict[str, str]:
    """Return each page's Markdown by its name.

    Raises:
        ConfigError: there are keys that nothing explains.
    """
    files = [read(TRAIN), *(file for group in groups() for file in options_of(group))]
    if silent := [line for file in files for line in unexplained(file)]:
        fix = "a comment behind the key, or an entry under Args: of what takes it"
        raise ConfigError("\n".join(["nothing explains", *silent, f"  accepted: {fix}"]))
    return {"index": index(), TRAIN: train_page()} | {group: group_page(group) for group in groups()}


def unexplained(file: OptionFile) -> Iterator[str]:
    """Yield the keys that nothing explains; a mapping that only holds keys needs no words."""
    for key, entry in file.entries.items():
        if key and (entry.value or entry.target) and not explanation(file, key):
            yield f"conf/{file.name}.yaml: {file.typed(key)}"


def index() -> str:
    """Return the list of the groups and their options."""
    rows = []
    for group in groups():
        options = [
            f"[{file.option}]({group}.md#{anchor(file)})" for file in options_of(group) if "/" not in file.option
        ]
        rows.append([f"[{code(group)}]({group}.md)", read(TRAIN).choices[group].comment, " ".join(options)])
    return "\n\n".join(["# Reference", INTRODUCTION, markdown_table(["group", "chooses", "options"], rows), ""])


def train_page() -> str:
    """Return the page of the keys that belong to no group."""
    file = read(TRAIN)
    return "\n\n".join(["# train", *header(file), table(file), ""])


def group_page(group: str) -> str:
    """Return the page of a group: a section for each option."""
    choice = read(TRAIN).choices[group]
    default = "None is chosen" if choice.value == "null" else f"[{choice.value}](#{choice.value}) is chosen"
    told = f"{choice.comment[:1].upper()}{choice.comment[1:]}. {default} unless you type `{group}=...`."
    return "\n\n".join([f"# {group}", told, *map(section, options_of(group)), ""])


def section(file: OptionFile) -> str:
    """Return what is to be said of an option."""
    parts = [f"## {file.option} {{: #{anchor(file)} }}", *header(file)]
    if target := file.entries.get("", Entry("")).target:
        parts.append(f"Builds {code(target)}.")
    parts += [inherited(file, base) for base in file.bases]
    if has_table(file):
        parts.append(table(file))
    return "\n\n".join(parts)


def has_table(file: OptionFile) -> bool:
    """Whether a file states keys or chooses options."""
    return len(file.entries) > 1 or bool(file.choices)


def anchor(file: OptionFile) -> str:
    """Return the name of an option's section in the page of its group."""
    return file.option.replace("/", "-")


def header(file: OptionFile) -> list[str]:
    """Return the comment at the top of a file; its first line is a block of its own where it is a command."""
    command, *rest = file.header
    if command.startswith("python "):
        return [f"```text\n{command}\n```", with_code_font("\n".join(rest))]
    return [with_code_font("\n".join(file.header))]


def inherited(file: OptionFile, base: str) -> str:
    """Return which keys an option has from a file that it is built on, and does not set itself."""
    source = read(base)
    keys = [key for key, entry in merged(source).items() if entry.value and key not in file.entries]
    typed = " ".join(code(file.typed(key)) for key in keys)
    return f"As [{source.option}](#{anchor(source)}), with its {typed}" + (", and:" if has_table(file) else ".")


def table(file: OptionFile) -> str:
    """Return the options of other groups that a file chooses and its keys, each with its value and meaning."""
    rows = [choice_row(file, group, choice) for group, choice in file.choices.items()]
    for key, entry in file.entries.items():
        built = entry.value or entry.target.rpartition(".")[2]
        if key and (built or entry.comment):  # other mappings only hold keys
            meaning = with_code_font(explanation(file, key).rstrip("."))
            rows.append([code(file.typed(key)), code(built) if built else "", meaning + accepted(file, key)])
    return markdown_table(["key", "value", "what it is"], rows)


def accepted(file: OptionFile, key: str) -> str:
    """Return which values a key may have, on a line of its own, where `trainyard.ranges` knows it."""
    typed, entry = file.typed(key), file.entries[key]
    kind = RULES.get(typed) or RULES.get(key.rpartition(".")[2])
    if kind is None or not entry.value or typed.startswith(SPACE) or kind == RULES["sweep.sampler"]:
        return ""
    return f"<br>*{kind}*"


def choice_row(file: OptionFile, group: str, choice: Entry) -> list[str]:
    """Return the row of an option of another group that a file chooses."""
    known = read(TRAIN).choices.get(group)
    if known is None:
        return [code(f"{file.group}/{group}"), code(choice.value), choice.comment]
    page = f"{group}.md" if choice.value == "null" else f"{group}.md#{choice.value}"
    return [code(group), f"[{code(choice.value)}]({page})", choice.comment or known.comment]
