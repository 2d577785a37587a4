"""What lies twice in the data is found, within a split and across."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Examples
from trainyard.inspect.data import MAX_PAIRS, describe_pairs, duplicate_table, find_duplicates


def pictures(count: int, seed: int) -> torch.Tensor:
    """Smooth pictures, uint8 `[N, 3, 32, 32]`, that look different."""
    coarse = torch.rand(count, 3, 4, 4, generator=derive_generator(seed))
    return (torch.nn.functional.interpolate(coarse, 32, mode="bilinear") * 255).round().to(torch.uint8)


def splits_of(train: torch.Tensor, test: torch.Tensor, test_labels: torch.Tensor) -> dict[str, Examples]:
    return {"train": Examples(train, torch.zeros(len(train), dtype=torch.int64)), "test": Examples(test, test_labels)}


def test_exact_copies_are_pairs_of_positions() -> None:
    train, test = pictures(6, 0), pictures(4, 1)
    train[5], test[2] = train[1], train[3]
    splits = splits_of(train, test, torch.tensor([0, 0, 1, 0]))
    found = find_duplicates(splits)
    assert found == [(("train", 1), ("train", 5)), (("train", 3), ("test", 2))]
    assert [line.split() for line in duplicate_table(splits, found).splitlines()] == [
        ["duplicates", "pairs"],
        ["within", "train", "1"],
        ["test", "in", "train", "1", *["leak:", "scored", "on", "training", "examples"]],
        ["within", "test", "0"],
        ["1", "of", "them", "with", "different", "labels"],
    ]


def test_rows_are_compared_whole_missing_values_too() -> None:
    rows = torch.tensor([[1.0, float("nan")], [1.0, 2.0], [1.0, float("nan")]])
    splits = splits_of(rows, rows[1:], torch.zeros(2, dtype=torch.int64))
    found = find_duplicates(splits)
    assert found == [
        (("train", 0), ("train", 2)),
        (("train", 1), ("test", 0)),
        (("train", 0), ("test", 1)),
    ]


def test_three_of_a_kind_are_two_pairs() -> None:
    x = torch.tensor([[0.0], [1.0], [0.0], [0.0]])
    found = find_duplicates({"train": Examples(x, torch.zeros(4, dtype=torch.int64))})
    assert found == [(("train", 0), ("train", 2)), (("train", 0), ("train", 3))]


def test_leaks_are_listed_first() -> None:
    part = Examples(torch.zeros(9, 1), torch.zeros(9, dtype=torch.int64))
    data = SimpleNamespace(splits={"train": part, "test": part})
    within, leak = (("train", 0), ("train", 1)), (("train", 2), ("test", 3))
    lines = describe_pairs(data, [within, leak, *[within] * MAX_PAIRS]).splitlines()  # type: ignore[arg-type]
    assert len(lines) == MAX_PAIRS
    assert lines[:2] == ["test in train  test 3 = train 2", "train          train 1 = train 0"]


def test_images_are_named_by_their_files(typed_command, tmp_path: Path) -> None:
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
    assert "test in train  test/cat/7.png = train/cat/2.png" in screen


def test_rows_are_counted_from_one(typed_command, tmp_path: Path) -> None:
    rows = [f"{number}.5,{number * 7 % 60}.25,{'xy'[number % 2]}" for number in range(60)]
    rows[40] = rows[4]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n", encoding="utf-8")
    words = ("data=table", "data.path=table.csv", "data.target=kind", "data.batch_size=8")
    code, screen, _ = typed_command("show", "data", *words)
    assert code == 0
    [line] = [line for line in screen.splitlines() if " row " in line]
    assert {"5", "41"} <= set(line.split())
