"""Rebuilds the data and the model of a run from its stored config, and loads the weights of a checkpoint.

A checkpoint alone cannot rebuild a module whose constructor takes objects, such as networks; the config can.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from trainyard.config.accepted import accepts, has_backbone
from trainyard.config.arguments import check_arguments
from trainyard.config.trusted import DATA, MODEL, check_stored, check_target
from trainyard.config.trusted_paths import check_download, use_own_caches
from trainyard.io.errors import config_error, join_limited
from trainyard.run.load_model import load_model, read_plain, read_weights
from trainyard.run.run_builder import build_data, build_model
from trainyard.run.run_directory import read_config

PARTS = ("model", "optimizer", "scheduler", "finetune", "data", "augment")  # keys that build a model
COMPILED = "_orig_mod."  # part of the names of the weights in a layer that `torch.compile` has wrapped
MAX_NAMES = 3  # of weights in an error


def load_run_model(folder: Path, trusted: Sequence[str] = ()) -> L.LightningModule:
    """Return the best model of the run in a directory, on the CPU and in evaluation mode.

    It is rebuilt from the checkpoint if that contains a description of the data, else from the config.

    Raises:
        ConfigError: there is no checkpoint, or the model must not be built, or does not fit the weights.
    """
    checkpoint = folder / "checkpoints" / "best.ckpt"
    stored = read_plain(checkpoint)
    arguments = stored.get("hyper_parameters") if isinstance(stored, dict) else None
    config = {key: part for key, part in read_config(folder).items() if key in (*PARTS, "seed")}
    if "spec" in (arguments or {}) or "model" not in config:
        return load_model(checkpoint, trusted)
    check_stored(config, trusted)
    model = build_stored_model(OmegaConf.create(config), trusted)
    load_weights(model, checkpoint)
    return model


def part_classes(
    cfg: DictConfig, trusted: Sequence[str] = ()
) -> tuple[type[L.LightningModule], type[L.LightningDataModule]]:
    """Return the classes of model and data; raise a ConfigError if they must not be built."""
    kinds = {"model": MODEL, "data": DATA}
    targets = {name: OmegaConf.select(cfg, f"{name}._target_") for name in kinds}
    model, data = (check_target(f"{name}._target_", targets[name], kinds[name], trusted) for name in kinds)
    return model, data


def build_stored(cfg: DictConfig, trusted: Sequence[str] = ()) -> tuple[L.LightningModule, L.LightningDataModule]:
    """Build the model, untrained and in evaluation mode, and the data of a stored config, as before its training.

    Args:
        cfg: the checked config, see `history.stored_config.config_to_test`; its `data` may contain overrides.
        trusted: packages whose classes may be built, in addition to Trainyard's.

    Raises:
        ConfigError: a part must not be built, or rejects its arguments.
    """
    part_classes(cfg, trusted)
    if has_backbone(cfg) and "weights" in cfg.model:
        cfg.model.weights = "none"  # those of the checkpoint replace them
    L.seed_everything(cfg.seed, verbose=False)  # a data module may split at random, and a model may draw constants
    data = build_stored_data(cfg, trusted)
    return build_again(cfg, data), data


def build_stored_data(
    cfg: DictConfig, trusted: Sequence[str] = (), kind: type[L.LightningDataModule] = L.LightningDataModule
) -> L.LightningDataModule:
    """Build the data of a stored config, with the user's own cache; see `build_stored`.

    Args:
        cfg: as in `build_stored`.
        trusted: as in `build_stored`.
        kind: required base class.
    """
    stored = {"data": OmegaConf.to_container(cfg.data)}
    check_stored(stored, trusted)
    base = replace(DATA, bases=(f"{kind.__module__}.{kind.__qualname__}",))
    data_class = check_target("data._target_", cfg.data.get("_target_"), base, trusted)
    use_own_caches(stored)
    cfg.data = stored["data"]
    check_arguments(OmegaConf.masked_copy(cfg, ["data"]))
    check_download(cfg.data, data_class)
    return build_data(cfg)


@isolate_rng()
def build_stored_model(cfg: DictConfig, trusted: Sequence[str] = ()) -> L.LightningModule:
    """Build the model of a stored config, and the data only if its constructor takes a description of them."""
    part_classes(cfg, trusted)
    if accepts(cfg, "model", "spec"):
        return build_stored(cfg, trusted)[0]
    return build_again(cfg, L.LightningDataModule())


def build_again(cfg: DictConfig, data: L.LightningDataModule) -> L.LightningModule:
    """Build a model without the advice on its hyperparameters, which its training has logged."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Attribute '.*' is an instance of `nn.Module`")
        return build_model(cfg, data).eval()


def load_weights(model: L.LightningModule, checkpoint: Path) -> None:
    """Load the weights of a checkpoint; raise a ConfigError if they are not those of the model."""
    expect_weights(model, checkpoint)
    model.configure_model()
    model.load_state_dict(read_weights(checkpoint), strict=model.strict_loading)


def expect_weights(model: L.LightningModule, checkpoint: Path) -> None:
    """Make the model check the names and shapes of weights when they are loaded, by this project or by Lightning.

    Layers may have been compiled only in training, as in `self.net = torch.compile(self.net)` in `setup("fit")`.
    """

    def check(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any, strict: bool, *rest: Any) -> None:
        own = module.state_dict()
        names = {name.replace(COMPILED, ""): name for name in own}
        for name in list(state):
            state[names.get(name.replace(COMPILED, ""), name)] = state.pop(name)
        problems = weight_differences(own, state) if strict else []
        if problems:
            problem = f"does not fit the model of config.yaml: {join_limited(problems, MAX_NAMES)}"
            raise config_error("checkpoint", checkpoint, problem, "with the code that trained the run")

    model.register_load_state_dict_pre_hook(check)  # type: ignore[no-untyped-call]


def weight_differences(own: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """Return what distinguishes the names and shapes of stored weights from those of a model."""
    missing = [f"{name} is missing" for name in own if name not in stored]
    unknown = [f"{name} is unknown" for name in stored if name not in own]
    shapes = {name: (own[name], stored[name]) for name in own if name in stored}
    other = [f"{name} has another shape" for name, (one, two) in shapes.items() if shape_of(one) != shape_of(two)]
    return missing + unknown + other


def shape_of(value: object) -> tuple[int, ...] | None:
    """Return the shape of a weight; `None` if it is determined by the first batch, or not a tensor."""
    return tuple(value.shape) if isinstance(value, Tensor) and not is_lazy(value) else None
