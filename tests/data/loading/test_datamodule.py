"""Runs with resident and streamed data are equal, and options determine the batches."""

import gc
import json
import multiprocessing
from pathlib import Path

import lightning as L
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import Tensor, nn

from tests.conftest import Compose
from trainyard.config.composition import compose, instantiate
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.loader import ResidentLoader, ResumableBatchSampler, StreamingLoader
from trainyard.data.loading.spec import Examples
from trainyard.data.sources.builtin import Digits
from trainyard.io.errors import ConfigError
from trainyard.run.training import train


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_streamed_and_resident_runs_have_equal_weights(compose_run: Compose) -> None:
    options = ["model=cnn", "augment=strong", "augment.mixup=0.2", "data.sampler=balanced", "logger=csv"]
    ends = {}
    for resident, workers in (("true", 0), ("false", 2)):
        folder = f"{resident}{workers}"
        cfg = compose_run(*options, f"data.resident={resident}", f"data.num_workers={workers}", folder=folder)
        train(cfg)
        ends[folder] = weights(Path(cfg.run.dir))
    first, *others = ends.values()
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)


class OneProcess:
    """The attributes of a trainer that a loader uses."""

    global_rank, world_size, overfit_batches, lightning_module = 0, 1, 0, None

    class strategy:  # noqa: N801
        root_device = torch.device("cpu")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, ResidentLoader),
        ({"resident": False}, StreamingLoader),
        ({"resident_limit": 1e-5}, StreamingLoader),
        ({"resident_limit": 1e-5, "resident": True}, ResidentLoader),
    ],
)
def test_data_within_the_limit_is_resident(options: dict, kind: type) -> None:
    data = Digits(batch_size=32, **options)
    data.trainer = OneProcess()  # type: ignore[assignment]
    assert type(data.train_dataloader()) is kind


def test_evaluation_batches_are_four_times_larger() -> None:
    data = Digits(batch_size=32)
    data.trainer = OneProcess()  # type: ignore[assignment]
    assert [len(y) for _, y in data.val_dataloader()] == [128, 128, 13]
    assert len(next(iter(data.train_dataloader()))[1]) == 32


class Images(DataModule):
    """Thirty images of one size."""

    kind = "images"
    classes = ("a", "b")

    def __init__(self, side: int, model: L.LightningModule | None = None) -> None:
        super().__init__(batch_size=4)
        self.side = side
        self.trainer = OneProcess()  # type: ignore[assignment]
        self.trainer.lightning_module = model

    def read(self) -> dict[str, Examples]:
        images = Examples(torch.zeros(30, 1, self.side, self.side, dtype=torch.uint8), torch.arange(30) % 2)
        return dict.fromkeys(("train", "val", "test"), images)


class Widen(L.LightningModule):
    """A convolution to `maps` feature maps; without an example, its memory is not known."""

    def __init__(self, maps: int, side: int | None = None) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, maps, 1)
        self.example_input_array = side and torch.zeros(2, 1, side, side)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("side", "model", "count"),
    [
        (100, None, 16),
        (400, None, 13),
        (1600, None, 1),
        (400, Widen(3), 13),
        (400, Widen(83, 400), 9),  # 84 * 400 * 400 numbers for each image
        (1600, Widen(3, 1600), 13),
        (400, Widen(1000, 32), 13),  # its example has another shape
    ],
    ids=str,
)
def test_evaluation_batches_fit_in_half_a_gibibyte(side: int, model: L.LightningModule | None, count: int) -> None:
    data = Images(side, model)
    assert len(next(iter(data.test_dataloader()))[1]) == count
    assert len(next(iter(data.train_dataloader()))[1]) == 4


def test_workers_end_with_their_stage() -> None:
    data = Digits(batch_size=32, resident=False, num_workers=1)
    data.trainer = OneProcess()  # type: ignore[assignment]
    loaders = [data.train_dataloader(), data.val_dataloader()]
    first = [next(iter(loader))[0] for loader in loaders]
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    data.teardown("fit")
    gc.collect()  # of the generators
    for worker in workers:
        worker.join(30)
    assert not any(worker.is_alive() for worker in workers)
    assert torch.equal(next(iter(loaders[1]))[0], first[1]), "another iteration starts new ones"
    data.teardown("validate")
    loaders[1].close()


def test_train_fraction_does_not_change_validation_and_test(compose_run: Compose) -> None:
    splits = {}
    for fraction in (0.1, 0.5, 1.0):
        data = instantiate(compose_run(f"data.train_fraction={fraction}", "data.batch_size=8").data, order_seed=0)
        splits[fraction] = data.splits
    assert [len(parts["train"]) for parts in splits.values()] == pytest.approx([126, 630, 1259], abs=6)
    for name in ("val", "test"):
        assert torch.equal(splits[0.1][name].x, splits[1.0][name].x)


@pytest.fixture
def thirty_rows(tmp_path: Path) -> tuple[str, ...]:
    """Overrides for a table of 30 rows, 15 of each class, of which 22 are for training."""
    rows = [f"{number % 2 + number / 100},{'no' if number % 2 else 'yes'}\n" for number in range(30)]
    (tmp_path / "rows.csv").write_text("x,y\n" + "".join(rows))
    return ("data=table", f"data.path={tmp_path / 'rows.csv'}", "data.target=y")


@pytest.mark.parametrize(
    ("options", "examples"),
    [((), 22), (("data.fold=0",), 20), (("data.train_fraction=0.1",), 2), (("data.resident=false",), 22)],
    ids=str,
)
def test_a_default_batch_is_at_most_the_training_examples(
    options: tuple[str, ...], examples: int, thirty_rows: tuple[str, ...], compose_run: Compose
) -> None:
    data = instantiate(compose_run(*thirty_rows, *options).data)
    assert len(data.splits["train"]) == data.batch_size == data.report["batch_size"] == examples


def test_a_table_of_thirty_rows_trains(thirty_rows: tuple[str, ...], compose_run: Compose) -> None:
    cfg = compose_run(*thirty_rows, "callbacks=none", "data.sampler=balanced", "data.class_weights=balanced")
    train(cfg)
    result = json.loads((Path(cfg.run.dir) / "result.json").read_text())
    assert result["data"]["batch_size"] == 22, "fewer than the default"
    assert result["metrics"]["test/acc"] in (0, 0.25, 0.5, 0.75, 1), "four test rows"
    events = EventAccumulator(str(Path(cfg.run.dir) / "tensorboard")).Reload()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    chosen = HParamsPluginData.FromString(content).session_start_info.hparams
    assert chosen["data.batch_size"].number_value == 22


def test_processes_share_a_batch_of_all_examples() -> None:
    """The batch size is reduced to the number of examples, not to the share of a device."""
    shares = [[*ResumableBatchSampler(22, 22, shuffle=True, rank=rank, world_size=4)] for rank in range(4)]
    assert [[len(batch) for batch in share] for share in shares] == [[6], [6], [5], [5]]
    assert sorted(position for [batch] in shares for position in batch) == [*range(22)]


def test_forty_images_train(tmp_path: Path, compose_run: Compose) -> None:
    for number in range(40):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.linear_gradient("L").resize((8, 8)).rotate(90 * (number % 2))
        image.point([value // 2 + number for value in range(256)]).save(path)
    cfg = compose_run("data=image_folder", f"data.root={tmp_path / 'images'}", "model=cnn", "callbacks=none")
    train(cfg)
    result = json.loads((Path(cfg.run.dir) / "result.json").read_text())
    assert (result["data"]["batch_size"], result["status"]) == (28, "completed")


def test_a_given_batch_size_is_never_changed(thirty_rows: tuple[str, ...], tmp_path: Path) -> None:
    """Even if it equals the default."""
    given = compose([*thirty_rows, "data.batch_size=32"])
    assert given.data.batch_size == given.data.default_batch_size
    experiment = tmp_path / "experiment" / "small.yaml"
    experiment.parent.mkdir()
    experiment.write_text("# @package _global_\ndata:\n  batch_size: 32\n")
    in_a_file = compose([*thirty_rows, f"hydra.searchpath=[file://{tmp_path}]", "experiment=small"])
    for cfg in (given, in_a_file):
        with pytest.raises(ConfigError, match=r"data\.batch_size=32: larger than all 22 .*\n.*1 to 22, or null"):
            instantiate(cfg.data).splits  # noqa: B018
    smaller = instantiate(compose([*thirty_rows, "data.batch_size=5"]).data)
    assert (len(smaller.splits["train"]), smaller.batch_size) == (22, 5)
