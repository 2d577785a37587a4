"""What a key means: the comment beside it in `conf/`, else what the docstring of the class that takes it says."""

from collections.abc import Iterable

from trainyard.reference.docstrings import argument, summary
from trainyard.reference.option_file import Entry, OptionFile, options_of, read

SPACE = "sweep.params."  # its keys are those of other groups


def merged(file: OptionFile) -> dict[str, Entry]:
    """Return the entries of an option as Hydra composes it: those of the files that it is built on, then its own."""
    entries: dict[str, Entry] = {}
    for base in file.bases:
        overlay(entries, merged(read(base)))
    overlay(entries, file.entries)
    return entries


def overlay(entries: dict[str, Entry], above: dict[str, Entry]) -> None:
    """Put one file's entries over those of another, whose comments and targets stay where it has none."""
    for key, entry in above.items():
        before = entries.get(key, Entry(""))
        if entry.value and not before.value:  # in place of a mapping
            for inside in [other for other in entries if key and other.startswith(f"{key}.")]:
                del entries[inside]
        target = entry.target if entry.value else entry.target or before.target
        entries[key] = Entry(entry.value, entry.comment or before.comment, target)


def explanation(file: OptionFile, key: str) -> str:
    """Return what a key of an option means; nothing where nobody says it."""
    typed = file.typed(key)
    if typed.startswith(SPACE):
        return anywhere(typed.removeprefix(SPACE), file)
    siblings = (own_explanation(option, key) for option in asked(file.group, file)) if file.group else ()
    return own_explanation(file, key) or first(siblings) or anywhere(typed, file)


def own_explanation(file: OptionFile, key: str) -> str:
    """Return what an option's own files, or the docstrings of what it builds, say of a key."""
    entries = merged(file)
    entry = entries.get(key, Entry(""))
    if entry.comment or entry.target:
        return entry.comment or summary(entry.target)
    parent, _, name = key.rpartition(".")
    holder = entries.get(parent, Entry("")).target
    return argument(holder, name) if holder else ""


def anywhere(typed: str, besides: OptionFile) -> str:
    """Return what the options of the group that a key belongs to say of it."""
    group, _, key = typed.partition(".")
    train = read("train")
    if group not in train.choices:
        return own_explanation(train, typed)
    if not key:
        return train.choices[group].comment
    return first(own_explanation(option, key) for option in asked(group, besides))


def asked(group: str, file: OptionFile) -> list[OptionFile]:
    """Return the other options of a group: the one that a file chooses, the one that runs by default, the rest."""
    varied = file.entries.get(f"params.{group}")  # of a sweep
    choices = [varied, file.choices.get(group), read("train").choices.get(group)]
    before = [choice.value for choice in choices if choice]
    options = [option for option in options_of(group) if option is not file]
    return sorted(options, key=lambda option: ([*before, option.option]).index(option.option))


def first(texts: Iterable[str]) -> str:
    """Return the first text that is not empty."""
    return next(filter(None, texts), "")
