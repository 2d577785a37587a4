"""`show data`: its tables and its figures."""

from pathlib import Path

import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from PIL import Image

from trainyard.config.composition import compose
from trainyard.data.loading.spec import Column, Examples
from trainyard.inspect.data import class_counts
from trainyard.inspect.data_figures import BINS, class_strips, draw_levels, draw_numbers
from trainyard.inspect.untrained import build_data


def part(*counts: int) -> Examples:
    y = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    return Examples(torch.zeros(len(y), 1), y)


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_digits_are_counted_and_drawn(typed_command, tmp_path: Path) -> None:
    code, screen, errors = typed_command("show", "data", "augment=flip")
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


def test_a_table_says_what_its_columns_hold_and_what_leaks(typed_command, tmp_path: Path) -> None:
    rows = [
        f"{number % 13},{'ab'[number % 2]},{'' if number % 4 == 0 else 1.5},{'xy'[number % 2]}" for number in range(52)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["size,letter,gap,kind", *rows]) + "\n", encoding="utf-8")
    code, screen, _ = typed_command("show", "data", "data=table", "data.path=table.csv", "data.target=kind")
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


def test_of_many_classes_the_most_and_the_least_frequent_are_shown() -> None:
    train = part(*range(1, 31))
    rows = cells(class_counts({"train": train, "val": part(*[1] * 30)}, [f"c{label}" for label in range(30)]))
    assert [row[0] for row in rows[2:]] == ["c29", "c28", "c27", "c26", "c25", "...", "c4", "c3", "c2", "c1", "c0"]
    assert rows[2] == ["c29", "30", "6%", "1", "3%"]
    assert rows[7] == ["...", "20", "more", "classes"]


def test_a_strip_holds_images_of_its_class_above_and_augmented_ones_below() -> None:
    data = build_data(compose(["augment.brightness=1"]))
    strips = class_strips(data, 10, 3, seed=1)
    train = data.splits["train"]
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
def test_what_cannot_work_is_named_and_leaves_nothing(
    typed_command, tmp_path: Path, line: str, expected: list[str]
) -> None:
    code, screen, errors = typed_command("show", "data", *line.split())
    assert (code, screen) == (1, "")
    assert all(word in errors for word in expected)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("classes", [2, 4, 6])
def test_each_class_has_its_colour_where_its_values_are(classes: int) -> None:
    axis = Figure().subplots()
    draw_numbers(axis, [torch.full((5,), float(label)) for label in range(classes)], Column("a"))
    width = (classes - 1) / BINS
    for label in range(classes):
        own = [patch for patch in axis.patches if to_rgb(patch.get_facecolor()) == pytest.approx(to_rgb(f"C{label}"))]
        if isinstance(own[0], Polygon):
            corners = own[0].get_xy()
            place = corners[corners[:, 1] > 0][:, 0].mean()
        else:
            [place] = [bar.get_x() + width / 2 for bar in own if bar.get_height() > 0]
        assert place == pytest.approx(label, abs=width), "where its values are"


def test_missing_values_are_not_drawn_and_levels_are_counted() -> None:
    axis = Figure().subplots()
    draw_levels(axis, [torch.tensor([0.0, 1.0, 2.0, 2.0]), torch.tensor([1.0, 0.0])], Column("a", ("x", "y")))
    heights = {round(float(bar.get_x()), 1): bar.get_height() for bar in axis.patches}
    assert heights == {-0.2: 1, 0.8: 2, 0.2: 1, 1.2: 0}
