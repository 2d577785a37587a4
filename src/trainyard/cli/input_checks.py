"""Checks the words of a command and the environment before a library reads them."""

import os
import re
from collections.abc import Iterable

from trainyard.io.errors import config_error

MAX_DIGITS = 4300  # of an integer that Python converts from text
LAUNCHER_VARIABLES = ("RANK", "LOCAL_RANK", "JSM_NAMESPACE_RANK", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS")


def check_input(words: Iterable[str]) -> None:
    """Raise a ConfigError for a number that Python cannot convert, in a word or in a variable set by a launcher."""
    for word in words:
        if digits := re.search(rf"\d{{{MAX_DIGITS + 1},}}", word):
            key = word.partition("=")[0] if "=" in word else "typed"
            raise config_error(key, digits[0], f"a number of {len(digits[0])} digits", f"at most {MAX_DIGITS} digits")
    for name in LAUNCHER_VARIABLES:
        value = os.environ.get(name, "0")
        if not value.isdecimal():
            raise config_error(name, value, "not a whole number", f"what the launcher sets, or `unset {name}`")


def check_text(words: Iterable[str]) -> None:
    r"""Raise a ConfigError for a word or a working folder that `config.yaml` cannot contain.

    File names on Linux are bytes. Python reads bytes that are not UTF-8 as surrogates; they are shown as `\xff`.
    OmegaConf would resolve an interpolation in the path of the working folder.
    """
    folder = os.getcwd()  # noqa: PTH109  # importing pathlib takes time
    named = [("working folder", folder), *((key, value) for key, _, value in (word.partition("=") for word in words))]
    for key, value in named:
        if any("\ud800" <= character <= "\udfff" for character in key + value):
            key, value = (os.fsencode(text).decode(errors="backslashreplace") for text in (key, value))
            raise config_error(key if value else "typed", value or key, "not UTF-8", "UTF-8 text")
    if "${" in folder:
        raise config_error("working folder", folder, "${...} in a path is replaced", "a folder without it in its path")
