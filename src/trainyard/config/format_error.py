"""Errors as the person at the keyboard should read them: the key, the value, what is accepted, in a few lines."""

import re
import shlex
import sys
from pathlib import Path
from traceback import walk_tb

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, InterpolationKeyError, OmegaConfBaseException
from yaml import MarkedYAMLError  # type: ignore[import-untyped]

from trainyard.config.composition import CONF_DIR
from trainyard.config.override_syntax import as_one_value, needs_quotes
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited
from trainyard.io.extras import describe_missing
from trainyard.io.resources import TRY_AGAIN, describe_full_disk, is_disk_full
from trainyard.terminal.controls import escape_controls

LONGEST = 390  # characters of a line
EXTRAS = {  # of a launcher: the extra, and its packages
    "submitit_slurm": ("slurm", ("hydra_plugins.hydra_submitit_launcher", "submitit")),
    "submitit_local": ("slurm", ("hydra_plugins.hydra_submitit_launcher", "submitit")),
    "ray": ("ray", ("hydra_plugins.hydra_ray_launcher", "ray")),
}


def format_error(error: BaseException) -> str:
    """Return an error's text, without control characters.

    Ours stays as it is, Hydra's is shortened and has suggestions, others name their kind.
    """
    return escape_controls(text_of(error))


def text_of(error: BaseException) -> str:
    """Return an error's text, in which control characters are not yet escaped."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return text_of(error.__cause__)
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        return f"{error.problem_mark.name.strip()}: line {error.problem_mark.line + 1}: {error.problem}"
    if is_disk_full(error) and not isinstance(error, ConfigError):
        return out_of_space(error)
    if isinstance(error, ConfigError):
        lines = [*str(error).splitlines(), *values_of(str(error).partition(":")[0])]
        return "\n".join(line if len(line) <= LONGEST else f"{line[:LONGEST]}..." for line in lines)
    if isinstance(error, MissingConfigException) and error.options is not None:
        return unknown_option(error)
    if isinstance(error.__cause__, ConfigAttributeError | ConfigKeyError):
        return unknown_key(error.__cause__)
    if isinstance(error, OverrideParseException):
        return unreadable(str(error.override), str(error).splitlines()[0])
    if found := re.match(r"Ambiguous value for argument '(.*)'", str(error)):
        return several_values(found[1])
    return text_of_other(error)


def text_of_other(error: BaseException) -> str:
    """Return the text of an error that neither its type nor its message assigns to one word of the command."""
    if "Config group override" in str(error):  # "must be a string", "deletion value must be a string"
        return no_option()
    if isinstance(error, InterpolationKeyError) and "hydra.runtime.choices" in str(error):
        problem = "a run is named by its model and its data, and one was taken out"
        return f"hydra.run.dir: {problem}\n  accepted: hydra.run.dir=PATH, or a model and data"
    if isinstance(error, OmegaConfBaseException) and error.full_key:  # a value that refers to nothing
        return f"{typed(str(error.full_key))}: {shortened(str(error), 1)}"
    if isinstance(error, OmegaConfBaseException) and (word := interpolated(str(error))):
        return f"{word}: {shortened(str(error), 1)}"
    if nameless := [word for word in sys.argv[1:] if word and word[0] in "+~=" and not word.strip("+~").split("=")[0]]:
        return f"{nameless[0]}: cannot be read as key=value"
    if "Multiple values for" in str(error):
        return there_already(str(error))
    if isinstance(error, CompactHydraException) and str(error):
        return shortened(f"{about(error)}{error}", 4)
    if (word := about(error)) and not raised_in_run(error):
        return shortened(f"{word}cannot be used ({str(error) or type(error).__name__})", 2)
    if isinstance(error, OSError) and not raised_in_run(error):
        problem = f"{error.filename} cannot be written ({error.strerror})"
        return f"{typed('hydra.run.dir')}: {problem}\n  accepted: a folder that you may write to"
    return (
        shortened(f"{type(error).__name__}: {error}", 3)
        + "\nHYDRA_FULL_ERROR=1 shows the traceback; run.log has it too"
    )


def values_of(part: str) -> list[str]:
    """Return a line with the typed overrides of a node, such as `model`, if an error names the node as a whole."""
    words = [word for word in sys.argv[1:] if part and word.lstrip("+").startswith(f"{part}.")]
    return [f"  typed: {' '.join(words)}"] if words else []


def unreadable(word: str, reason: str) -> str:
    """Return the text for a word that Hydra cannot parse, with its value in quotes where they help."""
    after = sys.argv[sys.argv.index(word) + 1 :] if word in sys.argv else []
    if word.endswith(",") and after:
        return f"{word} {after[0]}: no space after the comma"
    return needs_quotes(word) or f"{word}: cannot be read as key=value ({reason})"


def several_values(word: str) -> str:
    """Return the text for `model=mlp,cnn` without `-m`."""
    argument = as_one_value(word)
    one = f"; as one value: {shlex.quote(argument)}" if argument else ""
    return f"{word}: several values need -m (--multirun){one}"


def out_of_space(error: BaseException) -> str:
    """Return the text for a full disk, with the path."""
    if "the disk is full" in str(error):  # of a checkpoint, with the space that it needs
        return shortened(getattr(error, "strerror", None) or str(error), 1)
    named = getattr(error, "filename", None)
    folder = HydraConfig.get().runtime.output_dir if HydraConfig.initialized() else "."
    place = Path(named or folder).absolute()
    return f"{place} cannot be written: {describe_full_disk(place)}\n  accepted: {TRY_AGAIN}"


def unknown_option(error: MissingConfigException) -> str:
    """Return the text for `model=cnnn`."""
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    if group == "hydra/launcher" and option in EXTRAS:
        return str(config_error(group, option, *describe_missing(*EXTRAS[option])))
    options = sorted(error.options or [])
    problem = f"there is no such option{did_you_mean(option, options)}"
    path = str(error.missing_cfg_file)
    word = next((word for word in sys.argv[1:] if word.lstrip("+").replace("=", "/", 1) == path), f"{group}={option}")
    return f"{word}: {problem}\n  accepted: {join_limited(options, 40)}"


def no_option() -> str:
    """Return the text for `callbacks=null`, `model=3` or `=3`, of which Hydra does not say which word it was."""
    for word in sys.argv[1:]:
        group, _, option = word.lstrip("+~").partition("=")
        folder = CONF_DIR / group
        if folder.is_dir() and not (folder / f"{option}.yaml").is_file():
            options = sorted(file.stem for file in folder.glob("*.yaml"))
            if not group:
                return f"{word}: cannot be read as key=value"
            return f"{word}: a group needs one of its options\n  accepted: {join_limited(options, 40)}"
    return "a group needs one of its options"


def there_already(text: str) -> str:
    """Return the text for `+model=cnn`."""
    group = text.partition("Multiple values for ")[2].partition(".")[0]
    word = next((word for word in sys.argv[1:] if word.startswith(f"+{group}")), group)
    return f"{word}: {group} is there already\n  accepted: {word.lstrip('+')}"


def unknown_key(error: ConfigAttributeError | ConfigKeyError) -> str:
    """Return the text for `optimizer.lrr=0.1` or `modle=cnn`."""
    key = str(error.full_key)
    parent, _, name = key.rpartition(".")
    known = [str(known) for known in error.parent_node] if isinstance(error.parent_node, DictConfig) else []
    if not parent:
        known = sorted({*known, *(folder.name for folder in CONF_DIR.iterdir() if folder.is_dir())})
    known = [name for name in known if not name.startswith("_")]
    where = f"{parent} has no such key" if parent else "there is no such key or group"
    word = typed(key)
    if word.startswith(f"{key}.") and key in known:
        return f"{word}: the group {key} has no keys of its own"
    target = error.parent_node.get("_target_") if isinstance(error.parent_node, DictConfig) else None
    near = did_you_mean(name, known)
    more = f"; any other argument of {target} behind a plus, +{key}" if target and not near else ""
    return f"{typed(key)}: {where}{near}\n  accepted: {join_limited(known, 20)}{more}"


def interpolated(text: str) -> str:
    """Return the typed word with the interpolation that an error is about, or an empty string.

    If several words contain one, it is the word that shares the most names with the error.
    """
    named, words = set(re.findall(r"\w+", text)), [word for word in sys.argv[1:] if "${" in word]
    return max(words, key=lambda word: len(named & set(re.findall(r"\w+", word.partition("${")[2]))), default="")


def typed(key: str) -> str:
    """Return `key=value` as it was typed, or the key where it was not."""
    words = {word.lstrip("+~").partition("=")[0]: word for word in reversed(sys.argv[1:])}
    below = (word for name, word in words.items() if name.startswith(f"{key}."))
    return words.get(key) or next(below, key)


def about(error: BaseException) -> str:
    """Return "key=value: " or "FILE: ", of what Hydra was at when an error was raised; nothing where it was at none."""
    for frame, _ in walk_tb(error.__traceback__):
        override = frame.f_locals.get("override")
        if frame.f_globals.get("__name__", "").startswith("hydra.") and isinstance(override, Override):
            line = str(override.input_line)
            return "" if line in str(error) else f"{line}: "
        if frame.f_globals.get("__name__", "").endswith("file_config_source") and "full_path" in frame.f_locals:
            return f"{frame.f_locals['full_path']}: "
    return ""


def raised_in_run(error: BaseException) -> bool:
    """Whether an error came out of a run, and not from what Hydra does before it."""
    frames = walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__") == "trainyard.run.training" for frame, _ in frames)


def shortened(text: str, most: int) -> str:
    """Return the first lines of a text that are not empty, `most` of them, none endless."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(line[:300] for line in lines[:most])
