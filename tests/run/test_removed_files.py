"""Files that are removed while a run trains: its logs, its data and the cache."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.conftest import Compose
from tests.run.simulated_faults import SMALL, remove
from trainyard.config.format_error import format_error
from trainyard.data.images.image_files import UnreadableImageError
from trainyard.run.training import train


@pytest.mark.parametrize("name", ["metrics.csv", "run.log", "tensorboard"])
def test_training_continues_without_its_logs(name: str, compose_run: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    score = train(compose_run(*SMALL, "trainer.max_epochs=3", "logger=both", remove(folder / name))).objective
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["epochs"], result["objective"]["value"]) == ("completed", 3, score)
    assert {file.name for file in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    if name == "tensorboard":
        events = EventAccumulator(str(folder / name))
        events.Reload()
        assert len(events.Scalars("val/loss")) == 2, "epochs after the removal"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of random images in two classes."""
    draws = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 4)):
        for label in ("ant", "bee"):
            (tmp_path / "images" / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / split / label / f"{number}.png")
    return tmp_path / "images"


def overrides(images: Path, *more: str) -> tuple[str, ...]:
    data = ("data=image_folder", f"data.root={images}", "data.batch_size=4")
    return (*data, "model.hidden_dims=[8]", "callbacks=none", *more)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_error_names_a_removed_image(workers: int, compose_run: Compose, images: Path, tmp_path: Path) -> None:
    folder = images / "train" / "ant"
    words = overrides(images, "data.resident=false", f"data.num_workers={workers}", remove(folder))
    with pytest.raises(UnreadableImageError) as caught:
        train(compose_run(*words))
    lines = format_error(caught.value).splitlines()
    assert lines[0].startswith(f"UnreadableImageError: {folder}/")
    assert lines[0].endswith(".png: No such file or directory")
    assert len(lines) == 2, "the second says where the traceback is"
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["error"]) == ("failed", lines[0])
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file(), "of the epoch before"


def test_images_in_memory_can_be_removed(compose_run: Compose, images: Path, tmp_path: Path) -> None:
    assert train(compose_run(*overrides(images, "data.resident=true", remove(images)))).objective >= 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "completed"
    assert not images.exists()


@pytest.mark.parametrize("resident", ["true", "false"])
def test_a_table_can_be_removed_after_it_was_read(resident: str, compose_run: Compose, tmp_path: Path) -> None:
    rows = [f"{number % 7},{number % 5},{'ab'[number % 2]}" for number in range(60)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["x,y,class", *rows]))
    words = ("data=table", f"data.path={table}", "data.target=class", "data.batch_size=8", f"data.resident={resident}")
    whole = train(compose_run(*words, "data.num_workers=0", *SMALL[:1], "callbacks=none", folder="whole"))
    removed = train(compose_run(*words, "data.num_workers=0", *SMALL[:1], "callbacks=none", remove(table)))
    assert not table.exists()
    assert removed.metrics == whole.metrics


def test_a_cache_can_be_removed_while_a_run_uses_it(compose_run: Compose, images: Path, tmp_path: Path) -> None:
    words = overrides(images, f"data.cache={tmp_path / 'cache'}")
    first = train(compose_run(*words, remove(tmp_path / "cache")))
    assert not (tmp_path / "cache").exists()
    shutil.rmtree(tmp_path / "run")
    assert train(compose_run(*words)).metrics == first.metrics
