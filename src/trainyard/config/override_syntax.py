"""Values in the quotes that Hydra needs around `=`, commas, brackets and quotes."""

import re
import shlex

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from trainyard.config.composition import CONF_DIR
from trainyard.config.constraints import rule
from trainyard.io.errors import ConfigError, config_error


def parse(word: str) -> Override | None:
    """Return what Hydra reads from a word, if it can."""
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def quoted(word: str) -> str:
    """Return `key=value` with the value in the quotes that Hydra needs; an empty string if quotes would change it."""
    key, is_override, value = word.partition("=")
    if not is_override or not value or "${" in value or not word.isprintable():
        return ""
    quote = "'" if '"' in value and "'" not in value else '"'
    escaped = re.sub(rf"(\\*)({quote}|\Z)", lambda found: found[1] * 2 + (found[2] and "\\" + found[2]), value)
    text = f"{key}={quote}{escaped}{quote}"
    override = parse(text)
    return text if override and not override.is_sweep_override() and override.value() == value else ""


def as_one_value(word: str) -> str:
    """Return `key=a,b` with the value as text or as a list, whichever the key accepts; an empty string if neither."""
    key, _, value = word.partition("=")
    if (CONF_DIR / key).is_dir():
        return ""
    kind, as_list = rule(key), parse(f"{key}=[{value}]")
    if kind is None or kind.accepts(value):
        return quoted(word)
    return f"{key}=[{value}]" if as_list and kind.accepts(as_list.value()) else ""


def needs_quotes(word: str) -> str:
    """Return the text for `key=value` that Hydra cannot parse, if quotes help; else nothing."""
    argument, (key, _, value) = quoted(word), word.partition("=")
    kind = rule(key)
    if not argument or not (kind is None or kind.accepts(value)):
        return ""
    return f"{word}: a value with these characters needs quotes\n  accepted: {shlex.quote(argument)}"


def parse_single(word: str, key: str, accepted: str) -> Override:
    """Return an override that sets one value.

    Args:
        word: as typed.
        key: for the error.
        accepted: values, for the error.

    Raises:
        ConfigError: it cannot be parsed, or is a sweep or a deletion.
    """
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        if text := needs_quotes(word):
            raise ConfigError(text) from error
        raise config_error(key, word, str(error).splitlines()[0], accepted) from error
    if override.is_delete() or override.is_sweep_override():
        argument = as_one_value(word) if override.is_sweep_override() else ""
        raise config_error(key, word, "neither a sweep nor a deletion", shlex.quote(argument) if argument else accepted)
    return override
