"""Errors as the person at the keyboard should read them: the key, the value, what is accepted, in a few lines."""

from hydra.errors import CompactHydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from trainyard.errors import ConfigError, did_you_mean, listing

MOST_LINES = 4


def complaint(error: BaseException) -> str:
    """Return an error's text: ours as it is, Hydra's shortened and with suggestions, others with their kind."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return complaint(error.__cause__)
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options is not None:
        return unknown_option(error)
    if isinstance(error.__cause__, ConfigAttributeError | ConfigKeyError):
        return unknown_key(error.__cause__)
    if isinstance(error, CompactHydraException):
        return shortened(str(error))
    return (
        shortened(f"{type(error).__name__}: {error}") + "\nHYDRA_FULL_ERROR=1 shows the traceback; run.log has it too"
    )


def unknown_option(error: MissingConfigException) -> str:
    """Return the text for `model=cnnn`."""
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = sorted(error.options or [])
    return (
        f"{group}={option}: there is no such option{did_you_mean(option, options)}\n  accepted: {listing(options, 40)}"
    )


def unknown_key(error: ConfigAttributeError | ConfigKeyError) -> str:
    """Return the text for `optimizer.lrr=0.1`."""
    key = str(error.full_key)
    parent, _, name = key.rpartition(".")
    node = error.parent_node
    known = [str(known) for known in node] if isinstance(node, DictConfig) else []
    where = f"{parent} has no such key" if parent else "there is no such key or group"
    return f"{key}: {where}{did_you_mean(name, known)}\n  accepted: {listing(known, 20)}"


def shortened(text: str) -> str:
    """Return the first lines of a text that are not empty, none of them endless."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(line[:300] for line in lines[:MOST_LINES])
