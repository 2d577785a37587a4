"""A trained model on its test examples, exactly as a run tests it."""

from functools import partial
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from trainyard.compatibility import ACCELERATORS
from trainyard.config import instantiate
from trainyard.data.augment import Augmentation
from trainyard.data.loading.datamodule import DataModule
from trainyard.errors import listing, reject
from trainyard.evaluation.predictions import Predictions
from trainyard.models.base import use_channels_last
from trainyard.models.classifier import Classifier
from trainyard.trainers import NoProfiler
from trainyard.trusted import AUGMENTATION, check_target

# What of a run's Trainer decides its numbers; one process does the work, however many trained.
KEPT = ("accelerator", "precision", "deterministic", "benchmark", "limit_test_batches")
UNMIXED = {"mixup": 0.0, "cutmix": 0.0}  # a view of an example shows that example alone


def tester(cfg: DictConfig) -> L.Trainer:
    """Build a Trainer that tests as that of the run did, and leaves nothing behind.

    Raises:
        ConfigError: this machine lacks the accelerator, or there is no such precision.
    """
    wanted = str(cfg.trainer.get("accelerator", "auto"))
    here = ["auto", *(name for name, kind in ACCELERATORS.items() if kind.is_available())]
    if wanted not in here:
        accepted = " or ".join(f"trainer.accelerator={name}" for name in here)
        raise reject("trainer.accelerator", wanted, f"there is no {wanted} device here", accepted)
    options: dict[str, Any] = {key: cfg.trainer[key] for key in KEPT if key in cfg.trainer}
    options |= {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "devices": 1}
    try:
        return L.Trainer(**options, enable_model_summary=False, profiler=NoProfiler())
    except (MisconfigurationException, ValueError) as error:
        raise reject("trainer", listing(map(str, options.values())), str(error).splitlines()[0]) from error


def assess(
    model: Classifier, data: DataModule, cfg: DictConfig, views: int = 1
) -> tuple[Predictions, dict[str, float]]:
    """Return what a model predicts on the test split, and its `test/acc` and `test/loss`, to the last bit as in a run.

    Args:
        model: as it was loaded.
        data: with a `test` split.
        cfg: of the run.
        views: beyond 1, each image is seen so often, once as it is and then changed as in training; the probabilities
            are averaged (test-time augmentation).

    Raises:
        ConfigError: see `tester`, and views of a run whose training changes nothing.
    """
    changes = changes_of(cfg) if views > 1 else None
    if cfg.get("channels_last"):
        use_channels_last(model)
    if cfg.get("compile"):
        model.compile()
    trainer, outputs = tester(cfg), Outputs(model)
    [scores] = trainer.test(model, data, verbose=False)
    seen = [outputs.probabilities()]
    for view in range(1, views):
        loader = data.loader("test")
        loader.augment = partial(changes, classes=len(data.classes)) if changes else None
        loader.sampler.seed = view  # Lightning tests every view as of epoch 0
        trainer.test(model, loader, verbose=False)
        seen.append(outputs.probabilities())
    labels = data.splits["test"].y[: len(seen[0])].cpu()
    mean = seen[0] if views == 1 else torch.stack(seen).mean(dim=0)
    return Predictions(mean, labels, model.spec.classes), {name: float(value) for name, value in scores.items()}


def changes_of(cfg: DictConfig) -> Augmentation:
    """Return the changes that the run's training pictures went through, each of one picture alone.

    Raises:
        ConfigError: there are none: which changes leave a class what it is, nobody has said.
    """
    node = cfg.get("augment") or OmegaConf.create({})
    check_target("augment._target_", node.get("_target_"), AUGMENTATION)
    changes: Augmentation = instantiate(node, **UNMIXED)
    if not changes:
        name = cfg.run.choices.get("augment")
        problem = f"with augment={name}, training changed no picture, so nothing is known to leave its class"
        raise reject(
            "--tta", "", problem, "a run that trained with an augment, or augment.flip=0.5 or the like beside it"
        )
    return changes


class Outputs:
    """Keeps what a model says while Lightning tests it: one pass gives scores and predictions."""

    def __init__(self, model: Classifier) -> None:
        self.batches: list[Tensor] = []
        model.register_forward_hook(lambda module, inputs, logits: self.batches.append(logits.detach().float().cpu()))

    def probabilities(self) -> Tensor:
        """Return the probabilities since the last call, float32 `[N, K]`."""
        logits = torch.cat(self.batches)
        self.batches.clear()
        return logits.softmax(dim=1)
