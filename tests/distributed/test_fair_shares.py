"""Two processes learn, measure and write what one does that has their batches together."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.distributed import ranks
from trainyard.config.composition import compose, instantiate
from trainyard.data.loading.datamodule import EVALUATION_BATCHES
from trainyard.data.loading.loader import ResumableBatchSampler
from trainyard.run.distributed.strategies import gradient_weight
from trainyard.run.load_model import load_model
from trainyard.run.training import train

ROWS, BATCH, EPOCHS = 859, 32, 3
PLAN = (
    *("data=table", "data.target=kind", "model=mlp", "model.hidden_dims=[16]", "model.dropout=0.0"),
    *("optimizer=sgd", "optimizer.lr=0.1", f"trainer.max_epochs={EPOCHS}", "callbacks=none"),
    f"+callbacks.note._target_={ranks.__name__}.Note",
)


def table(path: Path) -> None:
    """Write rows of three kinds; a tenth of the values are missing, none of the first, which tells the rows apart."""
    draws = np.random.default_rng(0)
    kinds = draws.integers(0, 3, ROWS)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["weight", "height", "width", "kind"])
        for kind in kinds:
            sizes = [f"{draws.normal(kind, 1):.3f}" if draws.random() > 0.1 else "" for _ in range(2)]
            writer.writerow([f"{draws.normal():.9f}", *sizes, "abc"[kind]])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The directories of the same run by one process and by two."""
    home = tmp_path_factory.mktemp("both")
    table(home / "rows.csv")
    common = (*PLAN, f"data.path={home / 'rows.csv'}")
    train(compose([f"hydra.run.dir={home / 'one'}", *common, "accelerator=cpu", f"data.batch_size={BATCH}"]))
    train(compose([f"hydra.run.dir={home / 'two'}", *common, "accelerator=ddp_cpu", f"data.batch_size={BATCH // 2}"]))
    return home / "one", home / "two"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())  # type: ignore[no-any-return]


def notes(folder: Path, stage: str) -> list[dict[str, Any]]:
    return [torch.load(folder / f"note-{stage}-{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_the_sizes_are_such_that_shares_differ(both: tuple[Path, Path]) -> None:
    sizes = {name: part["examples"] for name, part in result(both[0])["data"]["fingerprint"].items()}
    assert sum(sizes.values()) == ROWS
    assert sizes["train"] % BATCH == 25, "the last batch: 13 examples and 12"
    assert sizes["val"] % (BATCH * EVALUATION_BATCHES) == 1, "one example and none"


def test_the_numbers_are_the_same(both: tuple[Path, Path]) -> None:
    one, two = map(rows, both)
    assert len(one) == len(two) == EPOCHS + 1
    for mine, theirs in zip(one, two, strict=True):
        assert mine.keys() == theirs.keys()
        assert {name for name in mine if mine[name]} == {name for name in theirs if theirs[name]}
        for name in filter(mine.get, mine):
            assert float(mine[name]) == pytest.approx(float(theirs[name]), rel=2e-6), name
    one, two = (torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in both)
    assert one["global_step"] == two["global_step"]
    for name, tensor in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], tensor, rtol=1e-5, atol=1e-6)


def test_each_example_is_seen_once(both: tuple[Path, Path]) -> None:
    sizes = {name: part["examples"] for name, part in result(both[0])["data"]["fingerprint"].items()}
    fit, test = (notes(both[1], stage) for stage in ("fit", "test"))
    for found, stage, times in ((fit, "train", EPOCHS), (fit, "val", EPOCHS), (test, "test", 1)):
        numbers, counts = torch.cat([torch.cat(rank["seen"][stage]) for rank in found]).unique(return_counts=True)
        assert len(numbers) == sizes[stage]
        assert counts.unique().tolist() == [times], stage
    shares = [[len(batch) for batch in rank["seen"]["train"]] for rank in fit]
    assert (shares[0][-1], shares[1][-1]) == (13, 12)
    assert [[len(batch) for batch in rank["seen"]["val"]][-1] for rank in fit] == [1, 0]


def test_the_test_counts_what_the_best_model_gets_right(both: tuple[Path, Path]) -> None:
    cfg = compose([*PLAN, f"data.path={both[0].parent / 'rows.csv'}"])
    for folder in both:
        model = load_model(folder / "checkpoints" / "best.ckpt")
        examples = instantiate(cfg.data).splits["test"]
        with torch.inference_mode():
            hits = int((model(examples.x).argmax(dim=1) == examples.y).sum())
        assert result(folder)["metrics"]["test/acc"] * len(examples) == pytest.approx(hits, abs=1e-3)


def test_the_draws_differ(both: tuple[Path, Path]) -> None:
    alone = torch.load(both[0] / "note-fit-0.pt", weights_only=True)["states"]
    first, second = (rank["states"] for rank in notes(both[1], "fit"))
    assert len(alone) == len(first) == len(second)
    assert len(set(second)) == len(second), "each step of the other process begins somewhere else"
    assert not set(first) & set(second)


def test_it_writes_what_one_process_writes(both: tuple[Path, Path]) -> None:
    one, two = both
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in both]
    written = [[name for name in found if "events.out" not in name and not name.startswith("note-")] for found in names]
    assert written[0] == written[1]
    log = (two / "run.log").read_text().splitlines()
    said = [line.split(": ", 1)[-1] for line in log if "epoch " in line and "/3 " in line]
    assert len(said) == len(set(said)) == EPOCHS
    assert len(log) == len((one / "run.log").read_text().splitlines())
    assert {**result(one), "seconds": 0, "metrics": 0}.keys() == {**result(two), "seconds": 0}.keys()
    assert (result(two)["status"], result(two)["error"], result(two)["epochs"]) == ("completed", None, EPOCHS)
    assert result(one)["data"] == result(two)["data"]
    points = []
    for folder in both:
        events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
        events.Reload()
        points.append({tag: [point.step for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]})
    assert points[0] == points[1]
    assert len(points[1]["val/loss"]) == len(set(points[1]["val/loss"])) == EPOCHS


def test_weights_of_a_share() -> None:
    """The gradients of all examples, averaged: by hand, for three processes and 5 examples in batches of 3."""
    gradients = torch.tensor([3.0, 1.0, 4.0, 1.0, 5.0])
    orders = [ResumableBatchSampler(5, 1, shuffle=True, rank=rank, world_size=3) for rank in range(3)]
    assert [len(order) for order in orders] == [1, 1, 1], "two examples are too few for three"
    orders = [ResumableBatchSampler(5, 2, rank=rank, world_size=3) for rank in range(3)]
    means = [gradients[order.positions()].mean() for order in orders]
    assert [gradient_weight(order, len(order.positions()), 0) for order in orders] == [1.2, 1.2, 0.6]
    weights = [gradient_weight(order, len(order.positions()), 0) for order in orders]
    weighed = [mean * weight for mean, weight in zip(means, weights, strict=True)]
    assert float(sum(weighed)) / 3 == pytest.approx(float(gradients.mean()))
    assert float(sum(means)) / 3 != pytest.approx(float(gradients.mean()))


@pytest.mark.slow
def test_batch_norm_sees_the_examples_of_its_process(tmp_path: Path) -> None:
    """What is left of the difference is batch norm's: of each process's own 16 examples, not of 32."""
    plan = ("model=cnn", "model.channels=[4]", "model.dropout=0.0", "trainer.max_epochs=2", "callbacks=none")
    scores = []
    for name, words in (
        ("one", ("accelerator=cpu", "data.batch_size=32")),
        ("two", ("accelerator=ddp_cpu", "data.batch_size=16")),
    ):
        train(compose([f"hydra.run.dir={tmp_path / name}", *plan, *words]))
        scores.append(result(tmp_path / name)["metrics"])
    assert scores[0]["val/loss"] == pytest.approx(scores[1]["val/loss"], rel=0.05)
    assert scores[0]["val/loss"] != pytest.approx(scores[1]["val/loss"], rel=1e-4)
