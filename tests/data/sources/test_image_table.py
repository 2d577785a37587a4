"""Images with a table of classes, numbers or labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from trainyard.data.images.image_files import ImageFiles
from trainyard.data.loading.target import Classes, Labels, Numbers
from trainyard.data.sources.image_table import ImageTable
from trainyard.io.errors import ConfigError

N = 40
GREY = np.arange(N) * 6 + 3  # of the images


def table(**columns: Any) -> pd.DataFrame:
    """Return the names of the images, their grey value and classes and labels that follow from it."""
    labels = [";".join(name for name, low in (("light", 120), ("visible", 60)) if grey > low) or "[]" for grey in GREY]
    kind = np.where(GREY > 120, "light", "dark")
    return pd.DataFrame(
        {"file": [f"{n}.png" for n in range(N)], "grey": GREY, "kind": kind, "labels": labels, **columns}
    )


def source(folder: Path, target: Any, frame: pd.DataFrame | None = None, **options: Any) -> ImageTable:
    """Write images of one grey value with a black line, and their table, and return the data source."""
    images = folder / "images"
    images.mkdir(exist_ok=True)
    for number, grey in enumerate(GREY):
        pixels = np.full((6, 8), grey, np.uint8)
        pixels[0] = 0
        Image.fromarray(pixels).save(images / f"{number}.png")
    (table() if frame is None else frame).to_csv(images / "list.csv", index=False)
    defaults = {"cache": str(folder / "cache"), "batch_size": 4, "num_workers": 0}
    return ImageTable(str(images / "list.csv"), "file", target, **{**defaults, **options})


@pytest.mark.parametrize("resident", [True, False])
def test_each_image_has_the_number_of_its_row(tmp_path: Path, resident: bool) -> None:
    data = source(tmp_path, "grey", resident=resident)
    assert data.spec.input_shape == (1, 6, 8)
    assert data.spec.target == Numbers(("grey",), data.spec.target.mean, data.spec.target.std)
    assert data.spec.target.mean[0] == pytest.approx(float(data.splits["train"].y.mean()))
    ids = torch.cat([part.ids for part in data.splits.values()])
    assert sorted(ids.tolist()) == list(range(N))
    for part in data.splits.values():
        assert isinstance(part.x, torch.Tensor if resident else ImageFiles)
        x = part.x if isinstance(part.x, torch.Tensor) else part.x.read(torch.arange(len(part)))
        assert torch.equal(x[:, 0, 1, 0].float(), part.y[:, 0])
        assert [data.name_of(int(number)) for number in part.ids] == [f"{int(y - 3) // 6}.png" for y in part.y[:, 0]]
    assert data.summary() == "28 / 6 / 6 for train / val / test; 1x6x8, 1 number: grey"


def test_classes_labels_and_several_numbers(tmp_path: Path) -> None:
    data = source(tmp_path, "kind")
    assert data.read()["train"].y.tolist() == (GREY > 120).astype(int).tolist()
    assert data.target == Classes(("dark", "light"))
    data = source(tmp_path, "labels")
    expected = np.stack([GREY > 120, GREY > 60], axis=1).astype(float)
    assert data.read()["train"].y.tolist() == expected.tolist()
    assert data.target == Labels(("light", "visible"))
    data = source(tmp_path, ["grey", "wide"], table(wide=GREY**2 / 7))
    assert data.read()["train"].y[:, 1].tolist() == pytest.approx((GREY**2 / 7).tolist())


def test_images_may_be_in_another_folder_and_a_test_table_may_list_others(tmp_path: Path) -> None:
    source(tmp_path, "grey")
    lists = tmp_path / "lists"
    lists.mkdir()
    table()[:30].to_csv(lists / "train.csv", index=False)
    table()[30:].to_csv(lists / "test.tsv", index=False, sep="\t")
    options = {"cache": str(tmp_path / "cache"), "batch_size": 4, "num_workers": 0}
    test = str(lists / "test.tsv")
    data = ImageTable(str(lists / "train.csv"), "file", "grey", str(tmp_path / "images"), test_path=test, **options)
    assert sorted(data.splits["test"].y[:, 0].tolist()) == GREY[30:].tolist()
    assert data.splits["test"].x[:, 0, 1, 0].tolist() == GREY[30:].tolist()
    assert len(data.splits["train"]) + len(data.splits["val"]) == 30


def test_rows_without_a_target_are_left_out(tmp_path: Path) -> None:
    data = source(tmp_path, "grey", table(grey=np.where(np.arange(N) % 8 == 0, np.nan, GREY)))
    train = data.read()["train"]
    assert train.y[:, 0].tolist() == [float(grey) for number, grey in enumerate(GREY) if number % 8]
    assert train.x[:, 0, 1, 0].tolist() == train.y[:, 0].tolist()
    assert data.report["path_rows_without_target"] == 5


def with_broken_files(folder: Path) -> pd.DataFrame:
    (folder / "images").mkdir()
    (folder / "images" / "note.txt").write_text("no image")
    names = {3: "gone.png", 7: "note.txt"}
    return table(file=[names.get(number, f"{number}.png") for number in range(N)])


def test_missing_and_unreadable_files_are_listed(tmp_path: Path) -> None:
    data = source(tmp_path, "grey", with_broken_files(tmp_path))
    with pytest.raises(ConfigError) as error:
        data.read()
    first, files, accepted = str(error.value).splitlines()
    assert first == f"data.path={tmp_path / 'images' / 'list.csv'}: 2 of 40 images cannot be read"
    folder = tmp_path / "images"
    broken = "gone.png (No such file or directory), note.txt (not an image that Pillow can read)"
    assert files == f"  in {folder}: {broken}"
    assert accepted == "  accepted: readable files, data.root=FOLDER if they are elsewhere, or data.on_error=skip"


def test_missing_and_unreadable_files_can_be_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = source(tmp_path, "grey", with_broken_files(tmp_path), on_error="skip")
    train = data.read()["train"]
    assert train.y[:, 0].tolist() == [float(grey) for number, grey in enumerate(GREY) if number not in (3, 7)]
    assert train.x[:, 0, 1, 0].tolist() == train.y[:, 0].tolist()
    assert data.report["skipped_files"] == 2
    assert "2 left out, cannot be read: gone.png" in caplog.text


@pytest.mark.parametrize(
    ("frame", "options", "problem"),
    [
        (
            table(),
            {"root": "nowhere", "on_error": "skip"},
            r"data\.path=.*: 40 of 40 images cannot be read\n  in nowhere",
        ),
        (
            table().rename(columns={"file": "fil"}),
            {},
            r"data\.image=file: data\.path has no such column.*; did you mean fil",
        ),
        (table(file=[None, *table().file[1:]]), {}, r"data\.path=.*: no file name in column file, row 1\n"),
        (table(grey=7), {"task": "regression"}, r"data\.target=grey: it has 1 distinct value in 40 rows \(7\)"),
        (table(grey="many"), {"task": "regression"}, r"data\.target=grey: grey contains text in data\.path \('many'\)"),
    ],
)
def test_invalid_tables_are_rejected(tmp_path: Path, frame: pd.DataFrame, options: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{problem}(.*\n)*  accepted: "):
        source(tmp_path, "grey", frame, **options).read()


def test_an_image_cannot_be_its_own_target(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^data\.image=file: data\.path has no such column besides the target"):
        source(tmp_path, "file", task="multilabel", frame=table(file=["a.png", "b.png"] * 20)).read()


def test_a_trained_model_determines_shape_and_target(tmp_path: Path) -> None:
    spec = source(tmp_path, "labels", image_size=5).spec
    data = source(tmp_path, "labels", table()[20:])
    data.model_spec = spec
    part = data.read()["train"]
    assert part.x.shape == (20, 1, 5, 5)
    assert part.y.tolist() == [[float(grey > 120), 1.0] for grey in GREY[20:]]


def test_copies_in_the_test_set_are_counted(tmp_path: Path) -> None:
    frame = table(file=[f"{number // 2}.png" for number in range(N)])
    data = source(tmp_path, "grey", frame)
    assert data.splits
    train, test = (set(data.splits[name].ids.div(2, rounding_mode="floor").tolist()) for name in ("train", "test"))
    assert data.report["train_test_duplicates"] == len(train & test) > 0
