"""Data that goes away while a run trains on it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Compose
from tests.faults.happenings import SMALL
from trainyard.config.format_error import format_error
from trainyard.data.images.image_files import UnreadableImageError
from trainyard.run.training import train

GONE = "+callbacks.gone={{_target_:tests.faults.happenings.Removed,path:{}}}"


def write_pictures(root: Path) -> None:
    draws = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 4)):
        for label in ("ant", "bee"):
            (root / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{number}.png")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_is_gone_is_named(workers: int, compose_run: Compose, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    place = ("data=image_folder", f"data.root={tmp_path / 'pictures'}", "data.batch_size=4", "model.hidden_dims=[8]")
    words = (*place, "callbacks=none", "data.resident=false", f"data.num_workers={workers}")
    folder = tmp_path / "pictures" / "train" / "ant"
    with pytest.raises(UnreadableImageError) as caught:
        train(compose_run(*words, GONE.format(folder)))
    said = format_error(caught.value).splitlines()
    assert said[0].startswith(f"UnreadableImageError: {folder}/")
    assert said[0].endswith(".png: No such file or directory")
    assert len(said) == 2, "the second says where the traceback is"
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["error"]) == ("failed", said[0])
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file(), "of the epoch before"


def test_pictures_that_are_resident_may_go(compose_run: Compose, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    place = ("data=image_folder", f"data.root={tmp_path / 'pictures'}", "data.batch_size=4", "model.hidden_dims=[8]")
    words = (*place, "callbacks=none", "data.resident=true", GONE.format(tmp_path / "pictures"))
    assert train(compose_run(*words)).objective >= 0
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "completed"
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize("resident", ["true", "false"])
def test_a_table_may_go_once_it_is_read(resident: str, compose_run: Compose, tmp_path: Path) -> None:
    rows = [f"{number % 7},{number % 5},{'ab'[number % 2]}" for number in range(60)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["x,y,class", *rows]))
    words = ("data=table", f"data.path={table}", "data.target=class", "data.batch_size=8", f"data.resident={resident}")
    kept = train(compose_run(*words, "data.num_workers=0", *SMALL[:1], "callbacks=none", folder="kept"))
    gone = train(compose_run(*words, "data.num_workers=0", *SMALL[:1], "callbacks=none", GONE.format(table)))
    assert not table.exists()
    assert gone.metrics == kept.metrics


def test_a_cache_that_is_removed_serves_the_run_that_has_it(compose_run: Compose, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    place = ("data=image_folder", f"data.root={tmp_path / 'pictures'}", "data.batch_size=4", "model.hidden_dims=[8]")
    words = (*place, "callbacks=none", f"data.cache={tmp_path / 'cache'}")
    first = train(compose_run(*words, GONE.format(tmp_path / "cache")))
    assert not (tmp_path / "cache").exists()
    shutil.rmtree(tmp_path / "run")
    assert train(compose_run(*words)).metrics == first.metrics
