"""Pairs are named by what a person can look up, leaks first."""

from pathlib import Path

import numpy as np
from PIL import Image

from trainyard.show.duplicates import Duplicates
from trainyard.show.pairs import SHOWN, Pair, some_pairs


def test_exact_ones_come_first_and_of_them_leaks() -> None:
    exact = {("train", "train"): [(0, 1)], ("train", "test"): [(2, 3)]}
    found = Duplicates(exact, {("train", "train"): [(4, 5)] * SHOWN}, 0)
    pairs = some_pairs(found)
    assert pairs[:3] == [
        Pair("exact", ("train", 2), ("test", 3)),
        Pair("exact", ("train", 0), ("train", 1)),
        Pair("alike", ("train", 4), ("train", 5)),
    ]
    assert len(pairs) == SHOWN


def test_images_are_named_by_their_files_and_drawn(typed_command, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    for name in [f"train/{kind}/{number}" for kind in ("cat", "dog") for number in range(4)] + ["test/dog/9"]:
        file = tmp_path / "pictures" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 255, (8, 8), dtype=np.uint8)).save(file)
    copy = tmp_path / "pictures" / "test" / "cat" / "7.png"
    copy.parent.mkdir()
    copy.write_bytes((tmp_path / "pictures" / "train" / "cat" / "2.png").read_bytes())
    words = ("data=image_folder", "data.root=pictures", "data.batch_size=2", f"data.cache={tmp_path}/cache")
    code, screen, _ = typed_command("show", "data", *words, "data.val_fraction=0.01")
    assert code == 0
    assert "1 of 2 test images are exact duplicates of training images" in screen
    assert "exact  test in train  test/cat/7.png = train/cat/2.png" in screen
    assert (tmp_path / "outputs" / "show" / "pairs.png").is_file()


def test_rows_are_counted_from_one(typed_command, tmp_path: Path) -> None:
    rows = [f"{number}.5,{number * 7 % 60}.25,{'xy'[number % 2]}" for number in range(60)]
    rows[40] = rows[4]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n", encoding="utf-8")
    words = ("data=table", "data.path=table.csv", "data.target=kind", "data.batch_size=8")
    code, screen, _ = typed_command("show", "data", *words)
    assert code == 0
    [line] = [line for line in screen.splitlines() if line.startswith("exact ")]
    assert {"5", "41"} <= set(line.split())
