"""Numbers and labels: splits, sampling, baselines that equal the scores of the task, and warnings."""

import pytest
import torch

from trainyard.data.augment import Augmentation
from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Examples
from trainyard.data.loading.splits import SplitPlan
from trainyard.data.loading.target import Classes, Labels, Numbers, Target, strata
from trainyard.data.loading.target_statistics import (
    fit_target,
    missing_target_warnings,
    sampling_weights,
    simplest_baseline,
    summarize_target,
)
from trainyard.tasks.build import build_task

DRAWS = torch.Generator().manual_seed(0)
NUMBERS = torch.distributions.LogNormal(1.0, 1.0).icdf(torch.rand(400, 2, generator=DRAWS).clamp(0.001, 0.999))
LABELS = (torch.rand(400, 4, generator=DRAWS) < torch.tensor([0.7, 0.5, 0.1, 0.02])).float()


def divided(y: torch.Tensor, **options: float | None) -> dict[str, Examples]:
    defaults = {"val_fraction": 0.15, "test_fraction": 0.15, "train_fraction": 1.0, "folds": 5, "fold": None, "seed": 0}
    plan = SplitPlan(**{**defaults, **options})
    return plan.divide({"train": Examples(torch.zeros(len(y), 1), y, torch.arange(len(y)))})


@pytest.mark.parametrize("seed", range(5))
def test_splits_have_the_same_quantiles(seed: int) -> None:
    parts = divided(NUMBERS, seed=seed)
    assert [len(part) for part in parts.values()] == [280, 60, 60]
    edges = NUMBERS[:, 0].quantile(torch.linspace(0, 1, 11)[1:-1])
    for part in parts.values():
        shares = torch.bucketize(part.y[:, 0].contiguous(), edges).bincount() / len(part)
        assert shares.tolist() == pytest.approx([0.1] * 10, abs=0.011)


@pytest.mark.parametrize("seed", range(5))
def test_splits_have_the_same_labels(seed: int) -> None:
    parts = divided(LABELS, seed=seed)
    assert [len(part) for part in parts.values()] == pytest.approx([280, 60, 60], abs=8)
    for part in parts.values():
        assert part.y.mean(dim=0).tolist() == pytest.approx(LABELS.mean(dim=0).tolist(), abs=0.035)
        assert part.y[:, 3].any(), "the rarest label is in each split"


def test_examples_with_distinct_sets_of_labels_are_split() -> None:
    """Each set alone would be a group of one, and all examples would be for training."""
    y = (torch.rand(200, 30, generator=DRAWS) < 0.3).float()
    assert [len(part) for part in divided(y).values()] == pytest.approx([140, 30, 30], abs=15)


@pytest.mark.parametrize("count", [6, 19, 30, 100])
def test_few_numbers_are_split_by_few_quantiles(count: int) -> None:
    y = torch.arange(float(count))[:, None] / 7
    sizes = [len(part) for part in divided(y).values()]
    assert sizes[1:] == pytest.approx([0.15 * count] * 2, abs=1)
    assert strata(y).max() + 1 == max(1, count // 20)


def test_folds_are_stratified() -> None:
    low = [float(divided(NUMBERS, fold=fold)["val"].y[:, 0].median()) for fold in range(5)]
    assert max(low) - min(low) < 0.3 * float(NUMBERS[:, 0].median())


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Classes(("a", "b", "c")), "3 classes"),
        (Numbers(("price",)), "1 number: price"),
        (Numbers(("x", "y")), "2 numbers: x, y"),
        (Labels(("a",)), "1 label"),
        (Labels(tuple("abcde")), "5 labels"),
    ],
)
def test_summaries(target: Target, text: str) -> None:
    assert summarize_target(target) == text


def test_numbers_have_the_moments_after_the_transformation() -> None:
    target = fit_target(Numbers(("x", "y"), transform="log"), NUMBERS)
    logs = NUMBERS.double().log()
    assert target.mean == pytest.approx(logs.mean(0).tolist())
    assert target.std == pytest.approx(logs.std(0, correction=0).tolist())
    constant = fit_target(Numbers(("x",)), torch.full((7, 1), 3.25))
    assert (constant.mean, constant.std) == ((3.25,), (1.0,))


def test_the_mean_is_the_baseline_of_numbers() -> None:
    target = Numbers(("x", "y"))
    splits = divided(NUMBERS)
    found = simplest_baseline(splits, target)
    fitted = fit_target(target, splits["train"].y)
    task = build_task(fitted)
    assert found.pop("mean") == pytest.approx(fitted.mean)
    expected = {}
    for split in ("val", "test"):
        y = splits[split].y
        outputs = torch.zeros_like(y)  # standardised
        scores = task.scores(0.0, task.totals(outputs, y).tolist(), len(y))
        expected |= {f"{split}/{name}": value for name, value in scores.items() if name != "loss"}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_common_labels_are_the_baseline_of_labels() -> None:
    target = Labels(tuple("abcd"))
    splits = divided(LABELS)
    found = simplest_baseline(splits, target)
    common = splits["train"].y.mean(0) >= 0.5
    assert found.pop("labels") == [name for name, is_common in zip("abcd", common, strict=True) if is_common]
    task = build_task(target)
    for split in ("val", "test"):
        y = splits[split].y
        outputs = (common.float() * 2 - 1).expand_as(y)
        scores = task.scores(0.0, task.totals(outputs, y).tolist(), len(y))
        for name in ("f1", "f1_macro", "acc"):
            assert found.pop(f"{split}/{name}") == pytest.approx(scores[name])
    assert not found


def test_balanced_sampling_draws_labels_equally_often() -> None:
    weights = sampling_weights(LABELS, Labels(tuple("abcd")))
    single = LABELS.sum(1) == 1
    of_label = [float(weights[single & (LABELS[:, label] > 0)].mean()) for label in range(3)]
    assert of_label == pytest.approx((1 / LABELS.sum(0)[:3]).tolist())
    nothing = LABELS.sum(1) == 0
    assert float(weights[nothing].sum()) == pytest.approx(1)


def test_missing_labels_are_reported() -> None:
    rows = {"train": [[1.0, 1.0], [0.0, 1.0]], "val": [[1.0, 0.0]], "test": [[1.0, 1.0]]}
    splits = {name: Examples(torch.zeros(len(y), 1), torch.tensor(y)) for name, y in rows.items()}
    assert missing_target_warnings(splits, Labels(("a", "b"))) == [
        "validation has no examples of these labels (training examples): b (2)\n  val/f1_macro does not measure them"
    ]
    assert missing_target_warnings(splits, Numbers(("x", "y"))) == []


@pytest.mark.parametrize("mixture", ["mixup", "cutmix"])
def test_mixtures_blend_numbers_and_labels_as_they_blend_classes(mixture: str) -> None:
    images = torch.arange(8.0)[:, None, None, None].expand(8, 1, 16, 16).contiguous()
    augment = Augmentation(**{mixture: 1.0})
    one_hot = torch.eye(8)
    mixed, shares = augment(images, torch.arange(8), derive_generator(0), classes=8)
    assert not torch.equal(shares, one_hot)
    numbers = torch.stack([torch.arange(8.0) * 10 + 5, torch.arange(8.0) ** 2], dim=1)
    again, blended = augment(images, numbers, derive_generator(0), classes=0)
    assert torch.equal(mixed, again)
    assert torch.allclose(blended, shares @ numbers, atol=1e-4)
    assert torch.allclose(blended[:, 0], mixed.mean(dim=(1, 2, 3)) * 10 + 5, atol=1e-3), "shares are those of pixels"
