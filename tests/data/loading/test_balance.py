"""Classes of different sizes: weights in the training loss, and a sampler that draws each class as often."""

import json
import logging
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.conftest import Compose
from trainyard.config.composition import instantiate
from trainyard.data.loading.sampler import ResumableBatchSampler
from trainyard.data.loading.spec import Column, DataSpec, Examples
from trainyard.data.loading.statistics import (
    compute_class_weights,
    majority_baseline,
    sampling_weights,
    warn_about_missing_classes,
)
from trainyard.data.sources.builtin import Digits
from trainyard.io.errors import ConfigError
from trainyard.models.mlp import MLP
from trainyard.run.training import train

LABELS = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)


def test_none_gives_no_weights() -> None:
    assert compute_class_weights("none", LABELS, 3) == ()
    assert Digits(batch_size=32).spec.class_weights == ()


def test_balanced_is_scikit_learns_formula() -> None:
    n_samples, n_classes, counts = 100, 3, [60, 30, 10]
    expected = [n_samples / (n_classes * count) for count in counts]  # compute_class_weight("balanced", ...)
    assert compute_class_weights("balanced", LABELS, 3) == pytest.approx(expected)


def test_a_class_without_examples_has_weight_zero() -> None:
    assert compute_class_weights("balanced", LABELS, 4) == pytest.approx([100 / 180, 100 / 90, 100 / 30, 0])


def test_only_the_ratios_of_weights_matter() -> None:
    weights = compute_class_weights([1, 2, 4], LABELS, 3)
    assert weights == pytest.approx([100 / 160, 200 / 160, 400 / 160])
    assert weights == pytest.approx(compute_class_weights([0.25, 0.5, 1.0], LABELS, 3))
    assert float(torch.tensor(weights)[LABELS].mean()) == pytest.approx(1), "the loss keeps its size"
    assert compute_class_weights([0, 0, 5], LABELS, 3) == pytest.approx([0, 0, 10])


def examples(*labels: int) -> Examples:
    return Examples(torch.zeros(len(labels), 1), torch.tensor(labels))


def test_the_baseline_is_the_class_that_training_has_most_of() -> None:
    splits = {"train": examples(1, 1, 0), "val": examples(0, 0, 0, 1), "test": examples(1, 1, 1, 0, 2)}
    assert majority_baseline(splits, ("a", "b", "c")) == {"class": "b", "val/acc": 0.25, "test/acc": 0.6}


def test_missing_classes_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    names = ("a", "b", "c", "d")
    warn_about_missing_classes({"train": examples(0, 1, 2, 2), "val": examples(0), "test": examples(0, 1, 2)}, names)
    [(_, level, text)] = caplog.record_tuples
    assert (level, text) == (
        logging.WARNING,
        "validation lacks classes that training has (training examples): b (1), c (2)\n  val/acc does not measure them",
    )
    caplog.clear()
    warn_about_missing_classes({name: examples(0, 1) for name in ("train", "val", "test")}, names)
    assert caplog.record_tuples == []


def test_a_run_warns_before_it_trains_and_notes_the_baseline(
    compose_run: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ["x,y", *(f"{number},{'ab'[number % 3 == 0]}" for number in range(60)), "7.5,rare"]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    words = ("data=table", f"data.path={tmp_path}/rows.csv", "data.target=y", "data.batch_size=8")
    cfg = compose_run(*words, "trainer.max_epochs=1")
    caplog.set_level(logging.INFO)
    train(cfg)
    messages = [text for _, _, text in caplog.record_tuples]
    [warned] = [place for place, text in enumerate(messages) if text.startswith("validation lacks")]
    [trained] = [place for place, text in enumerate(messages) if text.startswith("epoch 1/1")]
    assert warned < trained
    assert "rare (1)" in messages[warned]
    baseline = json.loads((Path(cfg.run.dir) / "result.json").read_text())["baseline"]
    assert baseline == {"class": "a", "val/acc": 6 / 9, "test/acc": 6 / 9}
    assert any("(always 'a': 0.6667)" in text for text in messages)


@pytest.mark.parametrize(
    ("choice", "problem"),
    [([1, 2], r"2 weights\n  accepted: one for each of the 3 classes"), ([0, 0, 0], "all examples have weight 0")],
)
def test_weights_for_other_classes_are_rejected(choice: list[float], problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.class_weights=\[.*{problem}"):
        compute_class_weights(choice, LABELS, 3)


@pytest.mark.parametrize("weights", ["heavy", "[1,-2]", "2", "[1]"])
def test_invalid_weights_are_rejected(compose_run: Compose, weights: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.class_weights=.*none, balanced, or a list"):
        train(compose_run(f"data.class_weights={weights}"))


def test_the_training_loss_is_weighted_and_no_other() -> None:
    spec = DataSpec((1,), ("a", "b", "c"), (Column("x"),), (0.0,), (1.0,), compute_class_weights([1, 2, 7], LABELS, 3))
    model = MLP(spec, hidden_dims=[])
    x = torch.randn(100, 1)
    logits = model(x).detach()
    each = F.cross_entropy(logits, LABELS, reduction="none")
    weights = torch.tensor(spec.class_weights)
    loss = model.step((x, LABELS), "train").detach()
    assert float(loss) == pytest.approx(float((each * weights[LABELS]).mean()), rel=1e-5)
    assert float(loss) != pytest.approx(float(each.mean()), rel=1e-3)
    for stage in ("val", "test"):
        assert float(model.step((x, LABELS), stage).detach()) == pytest.approx(float(each.mean()), rel=1e-5)


def test_a_run_uses_class_weights(compose_run: Compose, tmp_path: Path) -> None:
    train(compose_run("optimizer.lr=0.01", "data.class_weights=[0,0,0,0,0,0,0,0,0,1]"))
    metrics = json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]
    nines = Digits(batch_size=32).splits["test"].y == 9
    assert metrics["test/acc"] == pytest.approx(float(nines.float().mean())), "it says 9 of everything"


def drawn(seed: int, epoch: int, size: int = 100, rank: int = 0, world_size: int = 1) -> list[list[int]]:
    weights = sampling_weights(LABELS)
    order = ResumableBatchSampler(size, 10, seed=seed, shuffle=True, weights=weights, rank=rank, world_size=world_size)
    order.set_epoch(epoch)
    return list(order)


def test_balanced_draws_each_class_as_often() -> None:
    labels = torch.cat([LABELS[torch.tensor(batch)] for epoch in range(60) for batch in drawn(0, epoch)])
    assert len(labels) == 6000
    share = labels.bincount() / len(labels)
    assert share.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)  # three deviations of 6,000 draws
    members = torch.tensor([position for epoch in range(60) for batch in drawn(0, epoch) for position in batch])
    assert members.bincount(minlength=100).min() > 0, "every example is drawn some time"


def test_the_draws_are_a_function_of_seed_and_epoch() -> None:
    torch.manual_seed(1)
    first = drawn(3, 2)
    torch.manual_seed(2)
    assert drawn(3, 2) == first
    assert drawn(3, 1) != first
    assert drawn(4, 2) != first
    halves = [drawn(3, 2, rank=rank, world_size=2) for rank in (0, 1)]
    flat = [position for batch in first for position in batch]
    assert sorted(p for half in halves for batch in half for p in batch) == sorted(flat), "two processes draw the same"


@pytest.mark.parametrize("sampler", ["shuffle", "balanced"])
def test_a_source_draws_by_its_sampler(compose_run: Compose, sampler: str) -> None:
    data = instantiate(compose_run("data=penguins", f"data.sampler={sampler}", "data.resident=true").data)
    data.trainer = FakeTrainer()
    seen = {name: torch.cat([y for _, y in data.loader(name)]) for name in ("train", "val", "test")}
    counts = torch.stack([seen["train"].bincount(), data.splits["train"].y.bincount()])
    assert torch.equal(counts[0], counts[1]) == (sampler == "shuffle")
    assert (counts[0].max() - counts[0].min() < 30) == (sampler == "balanced")  # of 240; the classes have 106, 48, 86
    for name in ("val", "test"):
        assert torch.equal(seen[name], data.splits[name].y), "the others are served as they are"


class FakeTrainer:
    """What a loader asks of Lightning's."""

    class strategy:  # noqa: N801
        root_device = torch.device("cpu")

    global_rank, world_size = 0, 1
