"""Two processes have the same result as one, with DDP and with FSDP."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.run.distributed import ranks
from tests.run.distributed.ranks import ON_CPU, TINY, end, start
from trainyard.config.composition import compose, instantiate
from trainyard.data.loading.datamodule import EVALUATION_BATCHES
from trainyard.data.loading.loader import ResumableBatchSampler
from trainyard.io.errors import ConfigError
from trainyard.optim.optimizers import weight_decay_groups
from trainyard.run.compatibility import check_config
from trainyard.run.distributed.strategies import DDP, FSDP, gradient_weight
from trainyard.run.load_model import load_model
from trainyard.run.training import train

ROWS, BATCH, EPOCHS = 859, 32, 3
PLAN = (
    *("data=table", "data.target=kind", "model=mlp", "model.hidden_dims=[16]", "model.dropout=0.0"),
    *("optimizer=sgd", "optimizer.lr=0.1", f"trainer.max_epochs={EPOCHS}", "callbacks=none"),
    f"+callbacks.note._target_={ranks.__name__}.Note",
)


def table(path: Path) -> None:
    """Write rows of three classes; a tenth of the values are missing, except in the first column, which is unique."""
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
    """Return the directories of the same run with one process and with two."""
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


def test_processes_have_different_batch_sizes(both: tuple[Path, Path]) -> None:
    sizes = {name: part["examples"] for name, part in result(both[0])["data"]["fingerprint"].items()}
    assert sum(sizes.values()) == ROWS
    assert sizes["train"] % BATCH == 25, "the last batch: 13 examples and 12"
    assert sizes["val"] % (BATCH * EVALUATION_BATCHES) == 1, "one example and none"


def test_metrics_equal_those_of_one_process(both: tuple[Path, Path]) -> None:
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


def test_each_example_is_used_once(both: tuple[Path, Path]) -> None:
    sizes = {name: part["examples"] for name, part in result(both[0])["data"]["fingerprint"].items()}
    fit, test = (notes(both[1], stage) for stage in ("fit", "test"))
    for found, stage, times in ((fit, "train", EPOCHS), (fit, "val", EPOCHS), (test, "test", 1)):
        numbers, counts = torch.cat([torch.cat(rank["seen"][stage]) for rank in found]).unique(return_counts=True)
        assert len(numbers) == sizes[stage]
        assert counts.unique().tolist() == [times], stage
    shares = [[len(batch) for batch in rank["seen"]["train"]] for rank in fit]
    assert (shares[0][-1], shares[1][-1]) == (13, 12)
    assert [[len(batch) for batch in rank["seen"]["val"]][-1] for rank in fit] == [1, 0]


def test_test_accuracy_is_that_of_the_best_checkpoint(both: tuple[Path, Path]) -> None:
    cfg = compose([*PLAN, f"data.path={both[0].parent / 'rows.csv'}"])
    for folder in both:
        model = load_model(folder / "checkpoints" / "best.ckpt")
        examples = instantiate(cfg.data).splits["test"]
        with torch.inference_mode():
            hits = int((model(examples.x).argmax(dim=1) == examples.y).sum())
        assert result(folder)["metrics"]["test/acc"] * len(examples) == pytest.approx(hits, abs=1e-3)


def test_processes_have_different_random_numbers(both: tuple[Path, Path]) -> None:
    alone = torch.load(both[0] / "note-fit-0.pt", weights_only=True)["states"]
    first, second = (rank["states"] for rank in notes(both[1], "fit"))
    assert len(alone) == len(first) == len(second)
    assert len(set(second)) == len(second), "each step of the other process begins somewhere else"
    assert not set(first) & set(second)


def test_files_equal_those_of_one_process(both: tuple[Path, Path]) -> None:
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


def test_gradient_weights() -> None:
    """Compare with the mean over all examples, for three processes and 5 examples in batches of 3."""
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
def test_batch_norm_uses_the_examples_of_its_process(tmp_path: Path) -> None:
    """Only batch norm differs, since it uses the 16 examples of the process instead of 32."""
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


SAME = ("optimizer=adamw", "optimizer.weight_decay=0.1", "model.dropout=0.2")


def test_accelerator_options_compose() -> None:
    for name, kind in (("fsdp", FSDP), ("ddp", DDP), ("ddp_cpu", DDP)):
        cfg = compose([f"accelerator={name}"])
        assert type(instantiate(cfg.trainer.strategy)) is kind
    assert compose(["accelerator=fsdp"]).trainer.precision == "bf16-mixed"
    assert issubclass(FSDP, FSDPStrategy)


def test_muon_needs_whole_matrices() -> None:
    with pytest.raises(ConfigError, match="optimizer=muon: it needs whole matrices"):
        check_config(compose(["accelerator=fsdp", *ON_CPU, "optimizer=muon"]))
    check_config(compose(["accelerator=fsdp", *ON_CPU, "optimizer=adamw"]))
    check_config(compose(["accelerator=ddp", *ON_CPU, "optimizer=muon"]))


def test_flattened_matrix_has_weight_decay() -> None:
    share, bias = torch.nn.Parameter(torch.zeros(7)), torch.nn.Parameter(torch.zeros(7))
    share.whole_ndim = 2  # type: ignore[attr-defined]
    weights, others = weight_decay_groups([("share", share), ("bias", bias)])
    assert weights["params"][0] is share
    assert "weight_decay" not in weights
    assert others["params"][0] is bias
    assert others["weight_decay"] == 0.0


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)  # type: ignore[no-any-return]


def moments(stored: dict[str, Any]) -> list[torch.Tensor]:
    """Return Adam's averages of the gradients, in the order of the groups."""
    state = stored["optimizer_states"][0]
    return [state["state"][number]["exp_avg"] for group in state["param_groups"] for number in group["params"]]


@pytest.mark.slow
def test_fsdp_equals_ddp(tmp_path: Path) -> None:
    for name, words in (("split", ("accelerator=fsdp", *ON_CPU)), ("copied", ranks.DDP)):
        done = end(start(tmp_path, *SAME, *words, f"hydra.run.dir={name}"), tmp_path, name)
        assert done.code == 0, done.screen
        assert done.left == []
    split, copied = (checkpoint(tmp_path / name) for name in ("split", "copied"))
    assert split["state_dict"].keys() == copied["state_dict"].keys(), "the whole model, as one process has it"
    for name, tensor in copied["state_dict"].items():
        torch.testing.assert_close(split["state_dict"][name], tensor, rtol=1e-5, atol=1e-6)
    groups, others = (state["optimizer_states"][0]["param_groups"] for state in (split, copied))
    assert [group["weight_decay"] for group in groups] == [group["weight_decay"] for group in others] == [0.1, 0.0]
    for mine, theirs in zip(moments(split), moments(copied), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    assert split["metrics"]["val/loss"] == pytest.approx(copied["metrics"]["val/loss"], rel=1e-5)
    model = load_model(tmp_path / "split" / "checkpoints" / "best.ckpt")
    examples = instantiate(compose([*TINY]).data).splits["test"]
    with torch.inference_mode():
        hits = int((model(examples.x).argmax(dim=1) == examples.y).sum())
    result = json.loads((tmp_path / "split" / "result.json").read_text())
    assert result["metrics"]["test/acc"] * len(examples) == pytest.approx(hits, abs=1e-3)
