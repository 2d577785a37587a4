"""Values in the quotes that Hydra needs around `=`, commas, brackets and quotes."""

import re

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from trainyard.config import CONF_DIR
from trainyard.ranges import rule


def parse(word: str) -> Override | None:
    """Return what Hydra reads from a word, if it can."""
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def quoted(word: str) -> str:
    """Return `key=value` with the value in the quotes that Hydra needs; nothing where the value would be another."""
    key, is_override, value = word.partition("=")
    if not is_override or not value or "${" in value or not word.isprintable():
        return ""
    quote = "'" if '"' in value and "'" not in value else '"'
    escaped = re.sub(rf"(\\*)({quote}|\Z)", lambda found: found[1] * 2 + (found[2] and "\\" + found[2]), value)
    text = f"{key}={quote}{escaped}{quote}"
    override = parse(text)
    return text if override and not override.is_sweep_override() and override.value() == value else ""


def as_one_value(word: str) -> str:
    """Return `key=a,b` with the value as a text or a list, as the key takes it; nothing where it takes neither."""
    key, _, value = word.partition("=")
    if (CONF_DIR / key).is_dir():
        return ""
    kind, as_list = rule(key), parse(f"{key}=[{value}]")
    if kind is None or kind.accepts(value):
        return quoted(word)
    return f"{key}=[{value}]" if as_list and kind.accepts(as_list.value()) else ""
