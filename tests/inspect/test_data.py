"""`show data`: its tables, duplicates and figures."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from PIL import Image

from trainyard.config.composition import compose
from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Column, Examples
from trainyard.data.loading.target import Classes
from trainyard.inspect.data import MAX_PAIRS, describe_pairs, duplicate_table, find_duplicates, target_counts
from trainyard.inspect.data_figures import BINS, draw_values, group_examples, image_strips
from trainyard.inspect.untrained import untrained_data


def part(*counts: int) -> Examples:
    y = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    return Examples(torch.zeros(len(y), 1), y)


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_digits_are_counted_and_drawn(run_command, tmp_path: Path) -> None:
    code, screen, errors = run_command("show", "data", "augment=flip")
    assert (code, errors) == (0, "")
    head, counts, copies, look = (cells(part) for part in screen.split("\n\n"))
    assert head[0] == ["digits", "images", "1x8x8,", "10", "classes"]
    assert head[1][1:5] == ["mean", "0.304,", "std", "0.375"]
    assert counts[:3] == [
        ["train", "val", "test"], ["examples", "1,259", "269", "269"], ["0", "124", "10%", "27", "10%", "27", "10%"],
    ]  # fmt: skip
    assert len(counts) == 12
    assert copies[0] == ["duplicates", "pairs"]
    assert [row[:-1] for row in copies[1:3]] == [["within", "train"], ["val", "in", "train"]]
    assert look == [["written", "outputs/show/data.png"]]
    with Image.open(tmp_path / "outputs" / "show" / "data.png") as picture:
        assert picture.height > picture.width, "ten classes below each other, each twice"


def test_table_columns_and_leaks_are_described(run_command, tmp_path: Path) -> None:
    rows = [
        f"{number % 13},{'ab'[number % 2]},{'' if number % 4 == 0 else 1.5},{'xy'[number % 2]}" for number in range(52)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["size,letter,gap,kind", *rows]) + "\n", encoding="utf-8")
    code, screen, _ = run_command("show", "data", "data=table", "data.path=table.csv", "data.target=kind")
    assert code == 0
    assert "letter is a copy of the target" in screen
    head, _, columns, copies, pairs, _ = (cells(part) for part in screen.split("\n\n"))
    assert head[-1] == ["table", "rows", "of", "3", "columns,", "2", "classes"]
    assert [row[:2] for row in columns[1:]] == [["size", "number"], ["letter", "category"], ["gap", "number"]]
    assert columns[1][3:6] == ["0", "to", "12,"]
    assert columns[2][3:] == ["2", "levels:", "a", "18,", "b", "18"]
    assert columns[3][3:6] == ["1.5", "to", "1.5,"]
    assert "leak:" in copies[2], "the rows repeat"
    assert pairs[0][:3] == ["test", "in", "train"]
    assert (tmp_path / "outputs" / "show" / "data.png").is_file()


def test_most_and_least_frequent_of_many_classes_are_shown() -> None:
    train = part(*range(1, 31))
    target = Classes(tuple(f"c{label}" for label in range(30)))
    rows = cells(target_counts({"train": train, "val": part(*[1] * 30)}, target))
    assert [row[0] for row in rows[2:]] == ["c29", "c28", "c27", "c26", "c25", "...", "c4", "c3", "c2", "c1", "c0"]
    assert rows[2] == ["c29", "30", "6%", "1", "3%"]
    assert rows[7] == ["...", "20", "more", "classes"]


def test_strip_has_images_above_augmented_versions() -> None:
    data = untrained_data(compose(["augment.brightness=1"]))
    train = data.splits["train"]
    strips = image_strips(data, list(group_examples(train.y, data.target).values()), 3, seed=1)
    for label, strip in enumerate(strips):
        assert strip.shape == (2 * 10, 3 * 10, 3), "a pixel around each"
        above = (strip[1:9, 1:9, 0] * 255).round().to(torch.uint8)
        assert label in train.y[(train.x[:, 0] == above).flatten(1).all(1)]
        assert not torch.equal(strip[:10], strip[10:])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("data=pengins", ["data=pengins", "did you mean penguins"]),
        ("data=table data.path=none.csv data.target=y", ["data.path=none.csv"]),
    ],
)
def test_bad_input_is_an_error_and_leaves_no_files(run_command, tmp_path: Path, line: str, expected: list[str]) -> None:
    code, screen, errors = run_command("show", "data", *line.split())
    assert (code, screen) == (1, "")
    assert all(word in errors for word in expected)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("target", "head", "row", "drawn"),
    [
        ("price", "1 number: price", "price mean 20.786 22.111 22", "price in the training rows, by column"),
        (
            "[price,size]",
            "2 numbers: price, size",
            "size range 0 to 46 3 to 47 3 to 48",
            "price in the training rows, by column",
        ),
        ("tags", "2 labels", "b 22 50% 4 50% 4 50%", "training rows, by column"),
    ],
)
def test_numbers_and_labels_are_summarized(
    run_command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, head: str, row: str, drawn: str
) -> None:
    tags = ["a;b", "a", "b", ""]
    rows = [f"{number % 7},{number % 49},{number % 50},{tags[number % 4] or '[]'}" for number in range(60)]
    (tmp_path / "table.csv").write_text("\n".join(["x,size,price,tags", *rows]) + "\n", encoding="utf-8")
    figures: list[Figure] = []
    monkeypatch.setattr("trainyard.inspect.data.save_figure", lambda figure, name: figures.append(figure))
    code, screen, _ = run_command("show", "data", "data=table", "data.path=table.csv", f"data.target={target}")
    assert code == 0
    assert f"rows of {2 if target[0] == '[' else 3} columns, {head}" in screen
    assert row.split() in cells(screen)
    assert figures[0].get_suptitle() == drawn


@pytest.mark.parametrize("classes", [2, 4, 6])
def test_histograms_have_the_colour_of_their_class(classes: int) -> None:
    axis = Figure().subplots()
    draw_values(axis, [torch.full((5,), float(label)) for label in range(classes)], Column("a"))
    width = (classes - 1) / BINS
    for label in range(classes):
        own = [patch for patch in axis.patches if to_rgb(patch.get_facecolor()) == pytest.approx(to_rgb(f"C{label}"))]
        if isinstance(own[0], Polygon):
            corners = own[0].get_xy()
            place = corners[corners[:, 1] > 0][:, 0].mean()
        else:
            [place] = [bar.get_x() + width / 2 for bar in own if bar.get_height() > 0]
        assert place == pytest.approx(label, abs=width), "where its values are"


def test_numbers_that_are_equal_as_float32_have_a_histogram() -> None:
    axis = Figure().subplots()
    draw_values(axis, [torch.full((5,), 2.0**70), torch.full((3,), 2.0**70)], Column("a"))
    assert axis.patches


def test_bars_count_levels_without_missing_values() -> None:
    axis = Figure().subplots()
    draw_values(axis, [torch.tensor([0.0, 1.0, 2.0, 2.0]), torch.tensor([1.0, 0.0])], Column("a", ("x", "y")))
    heights = [[bar.get_height() for bar in bars] for bars in axis.containers]
    assert heights == [[1, 2], [1, 0]]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "y"]


def pictures(count: int, seed: int) -> torch.Tensor:
    """Smooth pictures, uint8 `[N, 3, 32, 32]`, that look different."""
    coarse = torch.rand(count, 3, 4, 4, generator=derive_generator(seed))
    return (torch.nn.functional.interpolate(coarse, 32, mode="bilinear") * 255).round().to(torch.uint8)


def splits_of(train: torch.Tensor, test: torch.Tensor, test_labels: torch.Tensor) -> dict[str, Examples]:
    return {"train": Examples(train, torch.zeros(len(train), dtype=torch.int64)), "test": Examples(test, test_labels)}


def test_duplicates_are_pairs_of_positions() -> None:
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
        ["1", "of", "them", "with", "different", "targets"],
    ]


def test_rows_with_missing_values_are_compared() -> None:
    rows = torch.tensor([[1.0, float("nan")], [1.0, 2.0], [1.0, float("nan")]])
    splits = splits_of(rows, rows[1:], torch.zeros(2, dtype=torch.int64))
    found = find_duplicates(splits)
    assert found == [
        (("train", 0), ("train", 2)),
        (("train", 1), ("test", 0)),
        (("train", 0), ("test", 1)),
    ]


def test_three_equal_examples_are_two_pairs() -> None:
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


def test_images_are_named_by_their_files(run_command, tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    for name in [f"train/{kind}/{number}" for kind in ("cat", "dog") for number in range(4)] + ["test/dog/9"]:
        file = tmp_path / "pictures" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 255, (8, 8), dtype=np.uint8)).save(file)
    copy = tmp_path / "pictures" / "test" / "cat" / "7.png"
    copy.parent.mkdir()
    copy.write_bytes((tmp_path / "pictures" / "train" / "cat" / "2.png").read_bytes())
    words = ("data=image_folder", "data.root=pictures", "data.batch_size=2", f"data.cache={tmp_path}/cache")
    code, screen, _ = run_command("show", "data", *words, "data.val_fraction=0.01")
    assert code == 0
    assert "1 of 2 test images are exact duplicates of training images" in screen
    assert "test in train  test/cat/7.png = train/cat/2.png" in screen


def test_duplicate_rows_are_numbered_from_one(run_command, tmp_path: Path) -> None:
    rows = [f"{number}.5,{number * 7 % 60}.25,{'xy'[number % 2]}" for number in range(60)]
    rows[40] = rows[4]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n", encoding="utf-8")
    words = ("data=table", "data.path=table.csv", "data.target=kind", "data.batch_size=8")
    code, screen, _ = run_command("show", "data", *words)
    assert code == 0
    [line] = [line for line in screen.splitlines() if " row " in line]
    assert {"5", "41"} <= set(line.split())
