"""Losses by name, compared with formulas, and their combination with weights, smoothing and mixed targets."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from trainyard.config.composition import load_options
from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.io.errors import ConfigError
from trainyard.tasks.build import build_task
from trainyard.tasks.losses import LOSSES, FocalLoss, QuantileLoss

DRAWS = torch.Generator().manual_seed(1)
LOGITS = torch.randn(40, 3, generator=DRAWS)
LABELS = torch.randint(0, 3, (40,), generator=DRAWS)
CLASSES = Classes(("a", "b", "c"), (0.5, 2.0, 0.5))
NUMBERS = Numbers(("x", "y"), (1.0, -2.0), (3.0, 0.5))
TARGETS: dict[str, Target] = {"classification": CLASSES, "regression": NUMBERS, "multilabel": Labels(("u", "v"))}
FITTING = {
    "cross_entropy": "classification",
    "focal": "classification",
    "bce": "multilabel",
    **dict.fromkeys(["mse", "mae", "huber", "quantile"], "regression"),
}


def option(name: str) -> dict[str, Any]:
    """Return the config of an option of `conf/loss`."""
    return dict(load_options("loss")[name])  # type: ignore[arg-type]


class Hinge(nn.Module):
    """A user's loss, which returns the mean of the batch and takes no `reduction`."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.multi_margin_loss(outputs, targets)


def test_each_option_has_a_task() -> None:
    assert {*load_options("loss")} == {*LOSSES, "auto"} == {*FITTING, "auto"}
    assert {name: node._target_ for name, node in load_options("loss").items() if name != "auto"} == LOSSES


@pytest.mark.parametrize("name", FITTING)
@pytest.mark.parametrize("kind", TARGETS)
def test_losses_of_other_tasks_are_rejected(name: str, kind: str) -> None:
    config = {"loss": option(name)}
    if FITTING[name] == kind:
        target = TARGETS[kind] if kind != "classification" else Classes(("a", "b"))
        build_task(target, config)
        return
    with pytest.raises(ConfigError, match=rf"loss={name}: does not fit the task\n  accepted: "):
        build_task(TARGETS[kind], config)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    weights = torch.tensor([0.5, 2.0, 1.0])
    focal = FocalLoss(gamma=0.0, weight=weights, label_smoothing=0.1)(LOGITS, LABELS)
    expected = F.cross_entropy(LOGITS, LABELS, weights, label_smoothing=0.1, reduction="none")
    assert focal == pytest.approx(expected, rel=1e-5)
    mixed = torch.rand(40, 3, generator=DRAWS).softmax(dim=1)
    assert float(FocalLoss(gamma=0.0)(LOGITS, mixed).mean()) == pytest.approx(
        float(F.cross_entropy(LOGITS, mixed)), rel=1e-5
    )


def test_focal_loss_of_two_classes_is_that_of_torchvision() -> None:
    logits, labels = torch.randn(30, 2, generator=DRAWS), torch.randint(0, 2, (30,), generator=DRAWS)
    difference = logits[:, 1] - logits[:, 0]
    expected = sigmoid_focal_loss(difference, labels.float(), alpha=-1, gamma=1.5, reduction="none")
    assert FocalLoss(gamma=1.5)(logits, labels) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_the_best_constant_of_the_quantile_loss_is_the_quantile(quantile: float) -> None:
    targets = torch.randn(999, 1, generator=DRAWS)
    candidates = torch.linspace(-2, 2, 401)
    losses = [float(QuantileLoss(quantile)(torch.full_like(targets, float(c)), targets).mean()) for c in candidates]
    best = float(candidates[torch.tensor(losses).argmin()])
    assert best == pytest.approx(float(targets.quantile(quantile)), abs=0.02)


def test_a_quantile_is_between_0_and_1() -> None:
    with pytest.raises(ConfigError, match=r"loss\.quantile=1\.5"):
        QuantileLoss(1.5)


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "quantile"])
def test_losses_of_numbers_are_means_over_the_numbers(name: str) -> None:
    task = build_task(NUMBERS, {"loss": option(name)})
    outputs, targets = torch.randn(6, 2, generator=DRAWS), torch.randn(6, 2, generator=DRAWS)
    standardised = (targets - torch.tensor([1.0, -2.0])) / torch.tensor([3.0, 0.5])
    expected = {
        "mse": F.mse_loss,
        "mae": F.l1_loss,
        "huber": F.huber_loss,
        "quantile": lambda o, t: (t - o).abs().mean() / 2,
    }[name](outputs, standardised)
    assert float(task.loss(outputs, targets, training=True)) == pytest.approx(6 * float(expected), rel=1e-5)


def test_class_weights_and_smoothing_are_used_in_training_only() -> None:
    task = build_task(CLASSES, {"loss": option("focal")}, label_smoothing=0.1)
    plain, weighted = FocalLoss(), FocalLoss(2.0, torch.tensor(CLASSES.weights), 0.1)
    assert task.loss(LOGITS, LABELS, training=False) == plain(LOGITS, LABELS).sum()
    assert task.loss(LOGITS, LABELS, training=True) == weighted(LOGITS, LABELS).sum()
    assert not task.state_dict()


def test_weights_and_smoothing_that_a_loss_lacks_are_rejected() -> None:
    own = {"loss": {"_target_": f"{__name__}.Hinge"}}
    with pytest.raises(ConfigError, match=r"data\.class_weights=given: loss=Hinge has no class weights"):
        build_task(CLASSES, own)
    with pytest.raises(ConfigError, match=r"model\.label_smoothing=0\.1: loss=Hinge has none"):
        build_task(Classes(("a", "b", "c")), own, label_smoothing=0.1)
    with pytest.raises(ConfigError, match=r"model\.label_smoothing=0\.1: loss=mse has none"):
        build_task(NUMBERS, label_smoothing=0.1)


def test_a_loss_of_your_own_may_return_the_mean_of_a_batch() -> None:
    task = build_task(Classes(("a", "b", "c")), {"loss": {"_target_": f"{__name__}.Hinge"}})
    assert task.loss(LOGITS, LABELS, training=True) == 40 * F.multi_margin_loss(LOGITS, LABELS)
    task = build_task(NUMBERS, {"loss": {"_target_": "torch.nn.SmoothL1Loss", "reduction": "none"}})
    targets = torch.zeros(40, 2)
    expected = F.smooth_l1_loss(LOGITS[:, :2], task.loss_targets(targets))
    assert float(task.loss(LOGITS[:, :2], targets, training=True)) == pytest.approx(40 * float(expected), rel=1e-5)
