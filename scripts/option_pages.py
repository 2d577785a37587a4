"""The pages of the reference as Markdown: one per config group, one for `conf/train.yaml`, and their index."""

import re
from collections.abc import Iterator

from option_files import SPACE, Entry, OptionFile, explanation, groups, merged, options_of, read

from trainyard.config.constraints import RULES
from trainyard.io.errors import ConfigError
from trainyard.terminal.tables import markdown_table

TRAIN = "train"
INTRODUCTION = """\
These pages are generated from the files in `conf/`. Select an option with `group=option`, change a value with
`group.key=value`, and run several values of either with `-m`. `--cfg job` prints the composed config without training.
Keys without a group are in [train](train.md)."""
TYPED = re.compile(r"[+~]?[a-z_]\w*(?:[./@]\w+)*=\S+|-m")
WORD = re.compile(r"(\(?)(\S*?)([.,:;]?)(?=\s|$)")


def pages() -> dict[str, str]:
    """Return the Markdown of each page by name.

    Raises:
        ConfigError: a key has no explanation.
    """
    files = [read(TRAIN), *(file for group in groups() for file in options_of(group))]
    if missing := [line for file in files for line in unexplained(file)]:
        fix = "a comment after the key, or an entry under Args: of the class that it belongs to"
        raise ConfigError("\n".join(["keys without an explanation", *missing, f"  accepted: {fix}"]))
    return {"index": index(), TRAIN: train_page()} | {group: group_page(group) for group in groups()}


def unexplained(file: OptionFile) -> Iterator[str]:
    """Yield the keys without an explanation; mappings that only group keys need none."""
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
    return "\n\n".join(["# Reference", INTRODUCTION, markdown_table(["group", "description", "options"], rows), ""])


def train_page() -> str:
    """Return the page of the keys without a group."""
    file = read(TRAIN)
    return "\n\n".join(["# train", *header(file), table(file), ""])


def group_page(group: str) -> str:
    """Return the page of a group: a section for each option."""
    choice = read(TRAIN).choices[group]
    default = "none" if choice.value == "null" else f"[{choice.value}](#{choice.value})"
    intro = f"{choice.comment[:1].upper()}{choice.comment[1:]}. Default: {default}. To select: `{group}=NAME`."
    return "\n\n".join([f"# {group}", intro, *map(section, options_of(group)), ""])


def section(file: OptionFile) -> str:
    """Return the section of an option."""
    parts = [f"## {file.option} {{: #{anchor(file)} }}", *header(file)]
    if target := file.entries.get("", Entry("")).target:
        parts.append(f"Instantiates {code(target)}.")
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
    """Return the comment at the top of a file; a command on its first line becomes a code block."""
    command, *rest = file.header
    if command.startswith("python "):
        return [f"```text\n{command}\n```", with_code_font("\n".join(rest))]
    return [with_code_font("\n".join(file.header))]


def inherited(file: OptionFile, base: str) -> str:
    """Return a sentence with the keys that an option inherits from a file that it extends."""
    source = read(base)
    keys = [key for key, entry in merged(source).items() if entry.value and key not in file.entries]
    typed = " ".join(code(file.typed(key)) for key in keys)
    also = " It also sets:" if has_table(file) else ""
    return f"Inherits from [{source.option}](#{anchor(source)}): {typed}.{also}"


def table(file: OptionFile) -> str:
    """Return a table of the options that a file chooses and its keys, each with its value and meaning."""
    rows = [choice_row(file, group, choice) for group, choice in file.choices.items()]
    for key, entry in file.entries.items():
        built = entry.value or entry.target.rpartition(".")[2]
        if key and (built or entry.comment):  # other mappings only group keys
            meaning = with_code_font(explanation(file, key).rstrip("."))
            rows.append([code(file.typed(key)), code(built) if built else "", meaning + accepted(file, key)])
    return markdown_table(["key", "value", "meaning"], rows)


def accepted(file: OptionFile, key: str) -> str:
    """Return the accepted values of a key on a separate line, if `trainyard.config.constraints` defines them."""
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


def code(text: str) -> str:
    """Return a text in code font."""
    return f"`{' '.join(text.split())}`"


def with_code_font(text: str) -> str:
    """Return a sentence in which words of a command line are in code font."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else WORD.sub(marked, part) for part in parts).replace("` `", " ")


def marked(match: re.Match[str]) -> str:
    """Return a word with its punctuation, in code font if it belongs to a command line."""
    before, word, after = match.groups()
    if word.count(")") > word.count("("):
        word, after = word[:-1], f"){after}"
    return f"{before}`{word}`{after}" if TYPED.fullmatch(word) else match[0]
