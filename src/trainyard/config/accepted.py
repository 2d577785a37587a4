"""Config groups that are passed to the constructor of the model or the data module, if it accepts them."""

import pkgutil

from omegaconf import DictConfig, open_dict

from trainyard.config.arguments import parameters
from trainyard.io.errors import ConfigError

OWNERS = {
    "optimizer": {"model": "optimizer"},
    "scheduler": {"model": "scheduler"},
    "finetune": {"model": "finetune"},
    "augment": {"data": "augment"},
    "task": {"model": "task", "data": "task"},
    "loss": {"model": "task"},
    "metrics": {"model": "task"},
}
"""The groups, with the parts to whose constructors each is passed, and the parameters."""

OBJECT_GROUPS = ("optimizer", "scheduler", "finetune", "augment")
"""Those of the groups that build an object themselves."""


def accepts(cfg: DictConfig, part: str, name: str) -> bool:
    """Return whether the constructor of a part, `model` or `data`, has a parameter that the run sets.

    A value in the option of the part itself, such as `model.optimizer`, has precedence.
    """
    return name not in cfg[part] and name in parameters(pkgutil.resolve_name(cfg[part]._target_))[0]


def can_set(cfg: DictConfig, part: str, name: str) -> bool:
    """Return whether the user can set an argument of a part, with or without `+`."""
    return name in cfg[part] or accepts(cfg, part, name)


def has_backbone(cfg: DictConfig) -> bool:
    """Return whether the model has pretrained layers that `finetune` can freeze and unfreeze."""
    return accepts(cfg, "model", "finetune")


def is_required(cfg: DictConfig, part: str, name: str) -> bool:
    """Return whether the constructor of a part has a parameter without default that the run sets."""
    if not accepts(cfg, part, name):
        return False
    parameter = parameters(pkgutil.resolve_name(cfg[part]._target_))[0][name]
    return parameter.default is parameter.empty


def remove_unused(cfg: DictConfig) -> None:
    """Set the groups that neither model nor data accept to null, so that the stored config contains what was used.

    Raises:
        ConfigError: the command sets such a group, which would have no effect.
    """
    for group, owners in OWNERS.items():
        if cfg.get(group) is None or not all(has_target(cfg, part) for part in owners) or is_accepted(cfg, group):
            continue
        typed = [word for word in cfg.run.overrides if is_override_of(word, group)]
        if typed and group == "finetune":
            continue  # `check_finetune` knows which values have no effect
        if typed:
            raise ConfigError(describe_unused(cfg, group, typed[0]))
        with open_dict(cfg):
            cfg[group] = cfg.run.choices[group] = None


def is_unused(cfg: DictConfig, group: str) -> bool:
    """Return whether a group is null because neither model nor data accept it."""
    owners = OWNERS.get(group, {})
    known = bool(owners) and all(has_target(cfg, part) for part in owners)
    return group in cfg and cfg[group] is None and known and not is_accepted(cfg, group)


def is_accepted(cfg: DictConfig, group: str) -> bool:
    """Return whether the constructor of a part has a parameter for a group."""
    return any(accepts(cfg, part, name) for part, name in OWNERS[group].items())


def has_target(cfg: DictConfig, part: str) -> bool:
    """Return whether the `_target_` of a part exists; `check_arguments` reports one that does not."""
    try:
        return callable(pkgutil.resolve_name(cfg[part]._target_))
    except Exception:  # whatever the user's module raises
        return False


def is_override_of(word: str, group: str) -> bool:
    """Return whether an override selects an option of a group or changes a value of it."""
    key = word.lstrip("+").partition("=")[0]
    return key.partition(".")[0].partition("@")[0] == group


def describe_unused(cfg: DictConfig, group: str, override: str) -> str:
    """Return an error message for a typed group that no part accepts."""
    [part, parameter] = next(iter(OWNERS[group].items()))
    chosen = f"{part}={cfg.run.choices.get(part)}"
    if group in cfg[part]:
        reason, accepted = f"{chosen} sets {part}.{group} itself", f"{part}.{group}.KEY=VALUE"
    else:
        own = "chooses its own" if part == "model" else "accepts no"
        reason = f"{chosen} {own} {group}: {cfg[part]._target_} has no parameter {parameter}"
        other = "a model" if part == "model" else "data"
        accepted = f"without {override}, or {other} whose constructor has a parameter {parameter}"
    return f"{override}: {reason}\n  accepted: {accepted}"
