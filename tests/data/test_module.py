"""A run is the same whether its data is resident or streamed, on one process or two; the options reach the batches."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.conftest import Compose
from trainyard.config import instantiate
from trainyard.data.digits import Digits
from trainyard.data.loader import ResidentLoader, StreamingLoader
from trainyard.data.module import DataModule
from trainyard.data.spec import Examples
from trainyard.training import train


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_a_streamed_run_ends_in_the_same_weights(compose_run: Compose) -> None:
    options = ["model=cnn", "augment=strong", "augment.mixup=0.2", "data.sampler=balanced", "logger=csv"]
    ends = {}
    for resident, workers in (("true", 0), ("false", 0), ("false", 2)):
        folder = f"{resident}{workers}"
        cfg = compose_run(*options, f"data.resident={resident}", f"data.num_workers={workers}", folder=folder)
        train(cfg)
        ends[folder] = weights(Path(cfg.run.dir))
    first, *others = ends.values()
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)


class OneProcess:
    """As much of a trainer as a loader asks for."""

    global_rank, world_size, overfit_batches = 0, 1, 0

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
def test_what_fits_the_limit_is_resident(options: dict, kind: type) -> None:
    data = Digits(batch_size=32, **options)
    data.trainer = OneProcess()  # type: ignore[assignment]
    assert type(data.train_dataloader()) is kind


def test_evaluation_takes_four_batches_at_once() -> None:
    data = Digits(batch_size=32)
    data.trainer = OneProcess()  # type: ignore[assignment]
    assert [len(y) for _, y in data.val_dataloader()] == [128, 128, 13]
    assert len(next(iter(data.train_dataloader()))[1]) == 32


class Images(DataModule):
    """Thirty images of a size, for a network that sees them at another one."""

    kind = "images"
    classes = ("a", "b")

    def __init__(self, side: int, input_size: tuple[int, ...] | None = None) -> None:
        super().__init__(batch_size=4)
        self.side = side
        self.trainer = OneProcess()  # type: ignore[assignment]
        self.trainer.lightning_module = SimpleNamespace(**({"input_size": input_size} if input_size else {}))

    def read(self) -> dict[str, Examples]:
        images = Examples(torch.zeros(30, 1, self.side, self.side, dtype=torch.uint8), torch.arange(30) % 2)
        return dict.fromkeys(("train", "val", "test"), images)


@pytest.mark.parametrize(
    ("side", "input_size", "count"),
    [(100, None, 16), (400, None, 13), (1200, None, 4), (32, (3, 400, 400), 13), (1200, (3, 32, 32), 16)],
)
def test_fewer_large_images_are_evaluated_at_once(side: int, input_size: tuple[int, ...] | None, count: int) -> None:
    data = Images(side, input_size)
    assert len(next(iter(data.test_dataloader()))[1]) == count
    assert len(next(iter(data.train_dataloader()))[1]) == 4


def test_learning_curves_use_less_of_the_same(compose_run: Compose) -> None:
    splits = {}
    for fraction in (0.1, 0.5, 1.0):
        data = instantiate(compose_run(f"data.train_fraction={fraction}", "data.batch_size=8").data, order_seed=0)
        splits[fraction] = data.splits
    assert [len(parts["train"]) for parts in splits.values()] == pytest.approx([126, 630, 1259], abs=6)
    for name in ("val", "test"):
        assert torch.equal(splits[0.1][name].x, splits[1.0][name].x)


def test_class_weights_reach_the_training_loss(compose_run: Compose) -> None:
    """Digit 3 alone counts: a network that learns from it alone answers 3 to everything."""
    only = [0.0] * 10
    only[3] = 1.0
    cfg = compose_run(f"data.class_weights={only}", "trainer.max_epochs=3", "logger=csv", "optimizer.lr=0.01")
    train(cfg)
    from trainyard.models.load import load_model

    model = load_model(Path(cfg.run.dir) / "checkpoints" / "last.ckpt")
    answers = model(Digits(32).splits["val"].x).argmax(1)
    assert float((answers == 3).float().mean()) > 0.95
