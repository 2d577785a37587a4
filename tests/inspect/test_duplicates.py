"""What lies twice in the data is found, within a split and across."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trainyard.data.draws import generator
from trainyard.data.spec import Examples
from trainyard.inspect.duplicates import MAX_PAIRS, Pair, duplicate_table, equal_keys, find_duplicates, first_pairs


def pictures(count: int, seed: int) -> torch.Tensor:
    """Smooth pictures, uint8 `[N, 3, 32, 32]`, that look different."""
    coarse = torch.rand(count, 3, 4, 4, generator=generator(seed))
    return (torch.nn.functional.interpolate(coarse, 32, mode="bilinear") * 255).round().to(torch.uint8)


def splits_of(train: torch.Tensor, test: torch.Tensor, test_labels: torch.Tensor) -> dict[str, Examples]:
    return {"train": Examples(train, torch.zeros(len(train), dtype=torch.int64)), "test": Examples(test, test_labels)}


def test_exact_copies_are_pairs_of_positions() -> None:
    train, test = pictures(6, 0), pictures(4, 1)
    train[5], test[2] = train[1], train[3]
    splits = splits_of(train, test, torch.tensor([0, 0, 1, 0]))
    found = find_duplicates(splits)
    assert found == [Pair("exact", ("train", 1), ("train", 5)), Pair("exact", ("train", 3), ("test", 2))]
    assert [line.split() for line in duplicate_table(splits, found).splitlines()] == [
        ["duplicates", "exact", "similar"],
        ["within", "train", "1", "0"],
        ["test", "in", "train", "1", "0", *["leak:", "scored", "on", "training", "examples"]],
        ["within", "test", "0", "0"],
        ["1", "of", "the", "exact", "pairs", "have", "different", "labels"],
    ]


def test_what_differs_a_little_is_similar_and_what_differs_much_is_not() -> None:
    train, test = pictures(6, 0), pictures(4, 1)
    test[1] = (train[4].int() + 5).clamp(0, 255).to(torch.uint8)
    test[3] = (train[2].float() * 0.5).to(torch.uint8)  # half as bright: the same hash, another picture
    found = find_duplicates(splits_of(train, test, torch.zeros(4, dtype=torch.int64)))
    assert found == [Pair("similar", ("train", 4), ("test", 1))]


def test_rows_are_compared_whole_missing_values_too() -> None:
    rows = torch.tensor([[1.0, float("nan")], [1.0, 2.0], [1.0, float("nan")]])
    splits = splits_of(rows, rows[1:], torch.zeros(2, dtype=torch.int64))
    found = find_duplicates(splits)
    assert found == [
        Pair("exact", ("train", 0), ("train", 2)),
        Pair("exact", ("train", 1), ("test", 0)),
        Pair("exact", ("train", 0), ("test", 1)),
    ]
    assert duplicate_table(splits, found).splitlines()[0].split() == ["duplicates", "exact"]


def test_three_of_a_kind_are_two_pairs() -> None:
    assert equal_keys({"train": "abaa"}) == [(("train", 0), ("train", 2)), (("train", 0), ("train", 3))]


def test_exact_ones_come_first_and_of_them_leaks() -> None:
    similar = [Pair("similar", ("train", 4), ("train", 5))] * MAX_PAIRS
    within, leak = Pair("exact", ("train", 0), ("train", 1)), Pair("exact", ("train", 2), ("test", 3))
    assert first_pairs([within, leak, *similar]) == [leak, within, *similar[2:]]


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
