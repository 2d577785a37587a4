"""Messages of all errors in a few lines: the key, the value, and what is accepted."""

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

from trainyard.config.composition import config_groups, parse_override, quote_value
from trainyard.config.constraints import find_validator
from trainyard.io.errors import ConfigError, config_error, did_you_mean, join_limited
from trainyard.io.extras import describe_missing
from trainyard.io.resources import TRY_AGAIN, describe_full_disk, is_disk_full
from trainyard.terminal.controls import escape_controls

MAX_LINE = 390  # characters
RUN, DEFAULTS_LIST = "trainyard.run.training", "hydra._internal.defaults_list"  # modules
EXTRAS = {  # optional dependencies of launchers: the extra, and its packages
    "submitit_slurm": ("slurm", ("hydra_plugins.hydra_submitit_launcher", "submitit")),
    "submitit_local": ("slurm", ("hydra_plugins.hydra_submitit_launcher", "submitit")),
}


def format_error(error: BaseException) -> str:
    """Return the message of any error, with control characters escaped; Hydra's are shortened and get suggestions."""
    lines = [line.rstrip() for line in escape_controls(message_of(error)).splitlines() if line.strip()]
    return "\n".join(line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}..." for line in lines)


def message_of(error: BaseException) -> str:
    """Return the message, of any length and with control characters."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return message_of(error.__cause__)
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        return f"{error.problem_mark.name.strip()}: line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, ConfigError):
        key = str(error).partition(":")[0]
        words = [word for word in sys.argv[1:] if key and word.lstrip("+").startswith(f"{key}.")]  # of `model`
        return f"{error}\n  overrides: {' '.join(words)}" if words else str(error)
    if is_disk_full(error):
        return full_disk(error)
    if isinstance(error, MissingConfigException) and str(error.missing_cfg_file).partition("/")[0] in config_groups():
        return unknown_option(error)
    if isinstance(error.__cause__, ConfigAttributeError | ConfigKeyError):
        return unknown_key(error.__cause__)
    if isinstance(error, OverrideParseException):
        return unparsable(str(error.override), str(error).splitlines()[0])
    if found := re.match(r"Ambiguous value for argument '(.*)'", str(error)):
        argument = as_single_value(found[1])
        single = f"; as one value: {shlex.quote(argument)}" if argument else ""
        return f"{found[1]}: several values need -m (--multirun){single}"
    return message_of_other(error)


def message_of_other(error: BaseException) -> str:
    """Return the message of an error whose type does not say which override caused it."""
    text = str(error)
    if isinstance(error, RecursionError) and (names := frame_values(error, DEFAULTS_LIST, "path")):
        other = f"another name for your file, such as my_{Path(names[-1]).name}.yaml"
        return f"{names[-1]}.yaml: its defaults list leads back to itself\n  accepted: {other}"
    if nameless := [word for word in sys.argv[1:] if word and word[0] in "+~=" and not word.strip("+~").split("=")[0]]:
        return f"{nameless[0]}: cannot be read as key=value"
    # "must be a string", "deletion value must be a string"; Hydra fails on lists of other values than strings
    if "Config group override" in text or (isinstance(error, TypeError) and raised_in(error, DEFAULTS_LIST)):
        return invalid_option()
    if isinstance(error, InterpolationKeyError) and "hydra.runtime.choices" in text:
        problem = "the name of a run needs its model and data, and one of them was removed"
        return f"hydra.run.dir: {problem}\n  accepted: hydra.run.dir=PATH, or a model and data"
    if isinstance(error, OmegaConfBaseException):
        interpolations = (word for word in sys.argv[1:] if "${" in word)
        if word := override_of(str(error.full_key)) if error.full_key else next(interpolations, ""):
            return f"{word}: {first_lines(text, 1)}"
    if "Multiple values for" in text:  # of `+model=cnn`
        group = text.partition("Multiple values for ")[2].partition(".")[0]
        word = next((word for word in sys.argv[1:] if word.startswith(f"+{group}")), group)
        return f"{word}: {group} is already set\n  accepted: {word.lstrip('+')}"
    if (found := re.fullmatch(r"Error merging override (.*)", text)) and error.__cause__:
        return not_a_value(found[1], first_lines(str(error.__cause__), 1))
    if isinstance(error, CompactHydraException) and text:
        return first_lines(f"{source_of(error)}{text}", 4)
    if (source := source_of(error)) and not raised_in(error, RUN):
        return first_lines(f"{source}cannot be used ({text or type(error).__name__})", 2)
    if isinstance(error, OSError) and not raised_in(error, RUN):
        problem = f"{error.filename} cannot be written ({error.strerror})"
        return f"{override_of('hydra.run.dir')}: {problem}\n  accepted: a folder that you may write to"
    hint = "HYDRA_FULL_ERROR=1 shows the traceback; run.log has it too"
    return f"{first_lines(f'{type(error).__name__}: {text}', 3)}\n{hint}"


def not_a_value(word: str, reason: str) -> str:
    """Return the message for `hydra.run=x`, which would replace a group of keys, or for another invalid value."""
    if not reason.startswith("Invalid type assigned"):
        return f"{word}: {reason}"
    key = word.partition("=")[0].lstrip("+")
    accepted = f"{key}.dir=PATH" if key in ("hydra.run", "hydra.sweep") else f"{key}.KEY=VALUE"
    return f"{word}: not a value but a group of keys\n  accepted: {accepted}"


def unparsable(word: str, reason: str) -> str:
    """Return the message for a word that Hydra cannot parse, with its value in quotes if they help."""
    following = sys.argv[sys.argv.index(word) + 1 :] if word in sys.argv else []
    if word.endswith(",") and following and "=" not in following[0]:
        return f"{word} {following[0]}: no space after the comma"
    if word.endswith(","):
        return f"{word}: no value after the last comma\n  accepted: {word.rstrip(',')}"
    if argument := as_single_value(word):
        return f"{word}: a value with these characters needs quotes\n  accepted: {shlex.quote(argument)}"
    program, *args = sys.argv
    if args[:1] == [word] and word.isidentifier() and Path(program).name != "train.py":
        return f"{word}: not a command, and cannot be read as key=value"
    return f"{word}: cannot be read as key=value ({reason})"


def as_single_value(word: str) -> str:
    """Return `key=a,b` with the value as text or as a list, whichever the key accepts; an empty string if neither."""
    key, _, value = word.partition("=")
    if key in config_groups():
        return ""
    validator, as_list = find_validator(key), parse_override(f"{key}=[{value}]")
    if validator is None or validator.accepts(value):
        return quote_value(word)
    return f"{key}=[{value}]" if as_list and validator.accepts(as_list.value()) else ""


def full_disk(error: BaseException) -> str:
    """Return the message for a full disk, with the path."""
    if "the disk is full" in str(error):  # of a checkpoint, with the space that it needs
        return first_lines(getattr(error, "strerror", None) or str(error), 1)
    folder = HydraConfig.get().runtime.output_dir if HydraConfig.initialized() else "."
    place = Path(getattr(error, "filename", None) or folder).absolute()
    return f"{place} cannot be written: {describe_full_disk(place)}\n  accepted: {TRY_AGAIN}"


def unknown_option(error: MissingConfigException) -> str:
    """Return the message for `model=cnnn`."""
    path = str(error.missing_cfg_file)
    group, _, option = path.rpartition("/")
    if group == "hydra/launcher" and option in EXTRAS:
        return str(config_error(group, option, *describe_missing(*EXTRAS[option])))
    options = sorted(error.options or config_groups().get(group, []))  # Hydra knows none for an item of a list
    word = next((word for word in sys.argv[1:] if word.lstrip("+").replace("=", "/", 1) == path), f"{group}={option}")
    return f"{word}: unknown option{did_you_mean(option, options)}\n  accepted: {join_limited(options, 40)}"


def invalid_option() -> str:
    """Return the message for `callbacks=null` or `model=3`; Hydra's message does not contain the override."""
    groups = config_groups()
    for word in sys.argv[1:]:
        group, _, option = word.lstrip("+~").partition("=")
        if group in groups and option not in groups[group]:
            return f"{word}: unknown option\n  accepted: {join_limited(groups[group], 40)}"
    return "a config group needs one of its options"


def unknown_key(error: ConfigAttributeError | ConfigKeyError) -> str:
    """Return the message for `optimizer.lrr=0.1` or `modle=cnn`."""
    key, node = str(error.full_key), error.parent_node
    parent, _, name = key.rpartition(".")
    known = [str(known) for known in node] if isinstance(node, DictConfig) else []
    if not parent:
        known = sorted({*known, *config_groups()})
    known = [name for name in known if not name.startswith("_")]
    word = override_of(key) or key
    if word.startswith(f"{key}.") and key in known:
        return f"{word}: the group {key} has no keys of its own"
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    near = did_you_mean(name, known)
    accepted = [join_limited(known, 20)] if known else []
    if target and not near:
        accepted.append(f"{'other ' if known else ''}arguments of {target} with a plus, +{key}")
    problem = f"unknown key in {parent}" if parent else "unknown key or group"
    return f"{word}: {problem}{near}\n  accepted: {'; '.join(accepted)}"


def override_of(key: str) -> str:
    """Return the override of a key or of a key in it; the key itself if there is none."""
    words = {word.lstrip("+~").partition("=")[0]: word for word in reversed(sys.argv[1:])}
    return words.get(key) or next((word for name, word in words.items() if name.startswith(f"{key}.")), key)


def source_of(error: BaseException) -> str:
    """Return "key=value: " or "FILE: ", the override or file that Hydra was processing; else an empty string."""
    for frame, _ in walk_tb(error.__traceback__):
        module, override = frame.f_globals.get("__name__", ""), frame.f_locals.get("override")
        if module.startswith("hydra.") and isinstance(override, Override):
            line = str(override.input_line)
            return "" if line in str(error) else f"{line}: "
        if module.endswith("file_config_source") and "full_path" in frame.f_locals:
            return f"{frame.f_locals['full_path']}: "
    return ""


def raised_in(error: BaseException, module: str) -> bool:
    """Return whether an error was raised in a module, or in what it called."""
    return any(frame.f_globals.get("__name__") == module for frame, _ in walk_tb(error.__traceback__))


def frame_values(error: BaseException, module: str, variable: str) -> list[str]:
    """Return the texts that a variable had in the functions of a module in which an error was raised."""
    frames = (frame for frame, _ in walk_tb(error.__traceback__) if frame.f_globals.get("__name__") == module)
    return [frame.f_locals[variable] for frame in frames if isinstance(frame.f_locals.get(variable), str)]


def first_lines(text: str, limit: int) -> str:
    """Return the first lines that are not empty."""
    return "\n".join([line for line in text.splitlines() if line.strip()][:limit])
