"""Generate the reference as Markdown: a page per config group, one for `conf/train.yaml`, and an index.

The functions `on_*` are hooks of MkDocs, which add these pages to the site.
"""

import re
from collections.abc import Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from option_files import (
    SEARCH_SPACE,
    Entry,
    OptionFile,
    config_groups,
    explain,
    group_options,
    merged_entries,
    read_option,
)

from trainyard.config.constraints import RULES
from trainyard.io.errors import ConfigError
from trainyard.terminal.tables import markdown_table

TRAIN = "train"
INTRODUCTION = """\
These pages are generated from the files in `conf/`. Select an option with `group=option`, change a value with
`group.key=value`, and run several values of either with `-m`. `--cfg job` prints the composed config without training.
Keys without a group are in [train](train.md)."""
COMMAND_WORD = re.compile(r"[+~]?[a-z_]\w*(?:[./@]\w+)*=\S+|-m")
WORD = re.compile(r"(\(?)(\S*?)([.,:;]?)(?=\s|$)")


def reference_pages() -> dict[str, str]:
    """Return the Markdown of each page by name.

    Raises:
        ConfigError: a key has no explanation.
    """
    files = [read_option(TRAIN), *(file for group in config_groups() for file in group_options(group))]
    if missing := [line for file in files for line in keys_without_explanation(file)]:
        fix = "a comment after the key, or an entry under Args: of the class that it belongs to"
        raise ConfigError("\n".join(["keys without an explanation", *missing, f"  accepted: {fix}"]))
    return {"index": index_page(), TRAIN: train_page()} | {group: group_page(group) for group in config_groups()}


def keys_without_explanation(file: OptionFile) -> Iterator[str]:
    """Yield the keys that have no explanation and need one; mappings that only group keys do not."""
    for key, entry in file.entries.items():
        if key and (entry.value or entry.target) and not explain(file, key):
            yield f"conf/{file.name}.yaml: {file.full_key(key)}"


def index_page() -> str:
    """Return the list of the groups and their options."""
    rows = []
    for group in config_groups():
        options = [
            f"[{file.option}]({group}.md#{anchor(file)})" for file in group_options(group) if "/" not in file.option
        ]
        rows.append([f"[{code(group)}]({group}.md)", read_option(TRAIN).choices[group].comment, " ".join(options)])
    return "\n\n".join(["# Reference", INTRODUCTION, markdown_table(["group", "description", "options"], rows), ""])


def train_page() -> str:
    """Return the page of the keys without a group."""
    file = read_option(TRAIN)
    return "\n\n".join(["# train", *header_paragraphs(file), key_table(file), ""])


def group_page(group: str) -> str:
    """Return the page of a group: a section for each option."""
    choice = read_option(TRAIN).choices[group]
    default = "none" if choice.value in ("null", "[]") else f"[{choice.value}](#{choice.value})"
    intro = f"{choice.comment[:1].upper()}{choice.comment[1:]}. Default: {default}. To select: `{group}=NAME`."
    return "\n\n".join([f"# {group}", intro, *map(option_section, group_options(group)), ""])


def option_section(file: OptionFile) -> str:
    """Return the section of an option."""
    parts = [f"## {file.option} {{: #{anchor(file)} }}", *header_paragraphs(file)]
    if target := file.entries.get("", Entry("")).target:
        parts.append(f"Instantiates {code(target)}.")
    parts += [inherited_keys(file, base) for base in file.bases]
    if has_keys(file):
        parts.append(key_table(file))
    return "\n\n".join(parts)


def has_keys(file: OptionFile) -> bool:
    """Whether a file sets keys or selects options."""
    return len(file.entries) > 1 or bool(file.choices)


def anchor(file: OptionFile) -> str:
    """Return the name of an option's section in the page of its group."""
    return file.option.replace("/", "-")


def header_paragraphs(file: OptionFile) -> list[str]:
    """Return the comment at the top of a file; a command on its first line becomes a code block."""
    command, *rest = file.header
    if command.startswith("python "):
        return [f"```text\n{command}\n```", with_code_font("\n".join(rest))]
    return [with_code_font("\n".join(file.header))]


def inherited_keys(file: OptionFile, base: str) -> str:
    """Return a sentence with the keys that an option inherits from a base file."""
    source = read_option(base)
    keys = [key for key, entry in merged_entries(source).items() if entry.value and key not in file.entries]
    full_key = " ".join(code(file.full_key(key)) for key in keys)
    also = " It also sets:" if has_keys(file) else ""
    return f"Inherits from [{source.option}](#{anchor(source)}): {full_key}.{also}"


def key_table(file: OptionFile) -> str:
    """Return a table of the options that a file selects and of its keys, with value and meaning."""
    rows = [selection_row(file, group, choice) for group, choice in file.choices.items()]
    for key, entry in file.entries.items():
        value = entry.value or entry.target.rpartition(".")[2]
        if key and (value or entry.comment):  # other mappings only group keys
            meaning = with_code_font(explain(file, key).rstrip("."))
            rows.append([code(file.full_key(key)), code(value) if value else "", meaning + accepted_values(file, key)])
    return markdown_table(["key", "value", "meaning"], rows)


def accepted_values(file: OptionFile, key: str) -> str:
    """Return the accepted values of a key on a separate line, if `trainyard.config.constraints` defines them."""
    full_key, entry = file.full_key(key), file.entries[key]
    kind = RULES.get(full_key) or RULES.get(key.rpartition(".")[2])
    if kind is None or not entry.value or full_key.startswith(SEARCH_SPACE) or kind == RULES["sweep.sampler"]:
        return ""
    return f"<br>*{kind}*"


def selection_row(file: OptionFile, group: str, choice: Entry) -> list[str]:
    """Return the row of an option of another group that a file selects."""
    known = read_option(TRAIN).choices.get(group)
    if known is None:
        return [code(f"{file.group}/{group}"), code(choice.value), choice.comment]
    page = f"{group}.md" if choice.value == "null" else f"{group}.md#{choice.value}"
    return [code(group), f"[{code(choice.value)}]({page})", choice.comment or known.comment]


def code(text: str) -> str:
    """Return a string in code font."""
    return f"`{' '.join(text.split())}`"


def with_code_font(text: str) -> str:
    """Return a sentence in which words of a command line are in code font."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else WORD.sub(mark_word, part) for part in parts).replace("` `", " ")


def mark_word(match: re.Match[str]) -> str:
    """Return a word with its punctuation, in code font if it belongs to a command line."""
    prefix, word, suffix = match.groups()
    if word.count(")") > word.count("("):
        word, suffix = word[:-1], f"){suffix}"
    return f"{prefix}`{word}`{suffix}" if COMMAND_WORD.fullmatch(word) else match[0]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    try:
        pages = reference_pages()
    except ConfigError as error:
        raise PluginError(str(error)) from error
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Remove the option `error` of console fences, which only the tests use."""
    return markdown.replace("\n```console error\n", "\n```console\n")
