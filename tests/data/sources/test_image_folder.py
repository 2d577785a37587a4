"""Image folders: what is inferred from the files, and how problems are reported."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trainyard.data.sources.image_folder import ImageFolder
from trainyard.io.errors import ConfigError

DRAWS = np.random.default_rng(0)
FLAT = ("cat", "dog")
DIVIDED = ("train/cat", "train/dog", "test/cat", "test/dog")


def filled(root: Path, folders: tuple[str, ...] = FLAT, count: int = 12, size: tuple[int, ...] = (5, 6, 3)) -> Path:
    """Write images of noise, `0.png` and so on, into folders."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = DRAWS.integers(0, 256, size, dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{number}.png")
    return root


def opened(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(root=str(root), **{"cache": str(root.parent / "cache"), "batch_size": 4, **options})


def sizes(data: ImageFolder) -> dict[str, list[int]]:
    """Return how many images of each class each split has."""
    return {name: part.y.bincount(minlength=len(data.classes)).tolist() for name, part in data.splits.items()}


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for _, level, text in caplog.record_tuples if level == logging.WARNING]


def test_a_flat_set_is_split_by_class(tmp_path: Path) -> None:
    data = opened(filled(tmp_path / "set", ("class10", "class2"), count=20))
    assert sizes(data) == {"train": [14, 14], "val": [3, 3], "test": [3, 3]}
    assert data.spec.classes == ("class2", "class10")
    assert data.spec.input_shape == (3, 5, 6)
    ids = torch.cat([part.ids for part in data.splits.values()])
    assert sorted(ids.tolist()) == list(range(40))


def test_given_splits_are_used(tmp_path: Path) -> None:
    data = opened(filled(tmp_path / "set", DIVIDED, count=8), val_fraction=0.25)
    assert sizes(data) == {"train": [6, 6], "val": [2, 2], "test": [8, 8]}
    data = opened(filled(tmp_path / "set", ("val/dog",), count=3))
    assert sizes(data) == {"train": [8, 8], "val": [0, 3], "test": [8, 8]}


def test_statistics_are_those_of_the_training_images(tmp_path: Path) -> None:
    data = opened(filled(tmp_path / "set"))
    values = data.splits["train"].x.double() / 255
    assert data.spec.mean == pytest.approx(values.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert data.spec.std == pytest.approx(values.std((0, 2, 3), correction=0).tolist(), abs=1e-12)


def test_labels_belong_to_their_images(tmp_path: Path) -> None:
    root = filled(tmp_path / "set", DIVIDED)
    data = opened(root)
    for split, part in data.splits.items():
        for x, label in zip(part.x, part.y.tolist(), strict=True):
            folder = root / ("test" if split == "test" else "train") / FLAT[label]
            images = [np.asarray(Image.open(path)).transpose(2, 0, 1).tolist() for path in folder.iterdir()]
            assert x.tolist() in images


def test_size_and_channels_are_inferred_or_set(tmp_path: Path) -> None:
    root = filled(tmp_path / "set", size=(7, 9))
    assert opened(root).spec.input_shape == (1, 7, 9)
    assert opened(root, image_size=4, channels=3).spec.input_shape == (3, 4, 4)
    assert opened(root, image_size=[4, 8]).spec.input_shape == (1, 4, 8)
    filled(root, ("dog",), count=1)
    assert opened(root).spec.input_shape == (3, 7, 7)


def broken(root: Path) -> Path:
    """Make a folder with one of everything that can be wrong."""
    filled(root, DIVIDED)
    filled(root, ("test/fox",), count=2)
    (root / "train/eel").mkdir()
    (root / "train/cat/0.png").write_bytes(b"")
    (root / "train/dog/a b.png").write_text("hello")
    whole = (root / "test/dog/3.png").read_bytes()
    (root / "test/dog/3.png").write_bytes(whole[: len(whole) // 2])
    (root / "train/dog/notes.txt").write_text("no image")
    return root


def test_all_problems_are_reported_in_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        opened(broken(tmp_path / "set")).splits  # noqa: B018
    assert str(refused.value).splitlines() == [
        f"data.root={tmp_path}/set: 5 problems",
        "  cannot be read: train/cat/0.png (empty), train/dog/a b.png (not an image that Pillow can read), "
        "test/dog/3.png (image file is truncated)",
        "  no images: train/eel/",
        "  not in train: test/fox/",
        "  accepted: a folder without them, or data.on_error=skip to leave them out",
    ]


def test_skip_leaves_out_and_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = opened(broken(tmp_path / "set"), on_error="skip", val_fraction=0.25)
    assert sizes(data) == {"train": [8, 9], "val": [3, 3], "test": [12, 11]}
    assert data.report == {"skipped_files": 3, "skipped_folders": 2, "train_test_duplicates": 0}
    lines = warnings_in(caplog)
    assert lines[0].startswith("data.on_error=skip: 3 left out, cannot be read: train/cat/0.png (empty), train/dog/a b")
    assert lines[1:] == [
        "data.on_error=skip: 1 left out, no images: train/eel/",
        "data.on_error=skip: 1 left out, not in train: test/fox/",
    ]
    assert all(part.x.flatten(1).any(1).all() for part in data.splits.values()), "unreadable files are not among them"


@pytest.mark.parametrize("resident", [True, False])
def test_a_class_with_only_unreadable_files_is_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, resident: bool
) -> None:
    root = filled(tmp_path / "set", ("train/ape", "train/bee", "train/cow", "test/ape", "test/bee", "test/cow"))
    for path in (root / "train/bee").iterdir():
        path.write_bytes(b"")
    data = opened(root, on_error="skip", resident=resident)
    assert data.spec.classes == ("ape", "cow")
    assert sizes(data) == {"train": [10, 10], "val": [2, 2], "test": [12, 12]}
    assert data.report["skipped_folders"] == 1
    assert warnings_in(caplog)[1].endswith("classes without a readable training image: bee")
    for path in (root / "train/cow").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        ConfigError, match="classes with a readable training image: ape, at least two are needed\n  accepted"
    ):
        opened(root, on_error="skip").splits  # noqa: B018


def test_a_smaller_size_is_suggested_for_large_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    root = filled(tmp_path / "set", count=2, size=(240, 300, 3))
    line = "images     resized to 224x224 pixels; data.image_size=112 takes a quarter of the time from scratch"
    assert opened(root, batch_size=1).infer_shape(sorted(root.rglob("*.png"))) == (3, 224, 224)
    assert [text for _, _, text in caplog.record_tuples] == [line]
    assert opened(root, image_size=[60, 80]).infer_shape(sorted(root.rglob("*.png"))) == (3, 60, 80)
    assert len(caplog.record_tuples) == 1


def test_heic_files_need_a_plugin_and_other_formats_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    root = filled(tmp_path / "set")
    (root / "cat/a.HEIC").write_bytes(b"unknown")
    (root / "cat/b.dng").write_bytes((root / "cat/0.png").read_bytes())
    with pytest.raises(ConfigError, match=r"cannot be read: cat/a.HEIC \(HEIC needs the package pillow-heif\)\n"):
        opened(root).splits  # noqa: B018
    data = opened(root, on_error="skip")
    assert len(data.splits) == 3
    assert data.report["skipped_files"] == 1
    assert f"data.root={root}: left out, not images: 1 .dng" in caplog.text


def test_duplicates_in_training_and_test_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = filled(tmp_path / "set", DIVIDED)
    filled(root, ("val/cat", "val/dog"), count=2)
    for source, copy in (("train/cat/3", "test/cat/a"), ("train/cat/3", "test/dog/b"), ("val/dog/0", "test/dog/c")):
        (root / f"{copy}.png").write_bytes((root / f"{source}.png").read_bytes())
    data = opened(root)
    assert sizes(data)["test"] == [13, 14]
    assert data.report["train_test_duplicates"] == 2
    assert warnings_in(caplog) == ["2 of 27 test images are exact duplicates of training images"]


SIZES = {"0.png": (5, 6), "1.bmp": (5, 6), "2.jpg": (40, 31), "3.webp": (9, 4), "4.gif": (8, 8), "5.tif": (5, 6)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with images of many kinds and sizes, one of which is broken."""
    draws = np.random.default_rng(0)
    for folder in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for name, size in SIZES.items():
            for copy in range(3 if folder == "train/cat" else 2):
                pixels = draws.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "set" / folder / f"{copy}-{name}")
    (tmp_path / "set/train/cat/0-0.png").write_bytes(b"")
    return tmp_path / "set"


def with_trainer(root: Path, **options: Any) -> ImageFolder:
    """Return the data with a trainer of one process on the CPU, as Lightning attaches it."""
    shared = {"cache": str(root.parent / "cache"), "batch_size": 4, "on_error": "skip"}
    data = ImageFolder(root=str(root), **shared, **options)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(strategy=strategy, global_rank=0, world_size=1)  # type: ignore[assignment]
    return data


def shaken(x: Tensor, y: Tensor, draws: torch.Generator, classes: int) -> tuple[Tensor, Tensor]:
    """Change a batch by random numbers."""
    return x + torch.randint(0, 9, x.shape, generator=draws), y


def batches(data: ImageFolder) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Return all batches of two epochs of training, of validation and of test."""
    loaders = {split: data.loader(split) for split in ("train", "val", "test")}
    found = {}
    for epoch in range(2):
        for split, loader in loaders.items():
            loader.sampler.set_epoch(epoch)
            found[f"{split} {epoch}"] = list(loader)
    return found


@pytest.mark.parametrize(("workers", "sampler"), [(0, "balanced"), (2, "shuffle")])
def test_streamed_batches_are_the_resident_ones(root: Path, workers: int, sampler: str) -> None:
    options = {"augment": shaken, "order_seed": 5, "sampler": sampler, "num_workers": workers}
    resident, streamed = (with_trainer(root, resident=kept, **options) for kept in (True, False))
    assert isinstance(resident.splits["train"].x, Tensor)
    assert not isinstance(streamed.splits["train"].x, Tensor)
    assert resident.spec == streamed.spec
    assert resident.report == streamed.report
    ours, theirs = batches(resident), batches(streamed)
    assert ours.keys() == theirs.keys()
    for split, expected in ours.items():
        for (x, y), (same_x, same_y) in zip(expected, theirs[split], strict=True):
            assert x.dtype == same_x.dtype
            assert torch.equal(x, same_x)
            assert torch.equal(y, same_y)
    assert not torch.equal(ours["train 0"][0][0], ours["train 1"][0][0])


def test_images_above_the_limit_are_streamed(root: Path) -> None:
    size = 54 * 3 * 5 * 5 / 2**30
    kinds = [type(with_trainer(root, resident_limit=size * share).splits["train"].x).__name__ for share in (1, 0.99)]
    assert kinds == ["Tensor", "ImageFiles"]


def test_classes_that_differ_only_in_case_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = filled(tmp_path / "set", ("Cat", "cat", "dog"))
    assert opened(root).splits
    text = f"data.root={root}: classes whose names differ only in case or whitespace: 'Cat' and 'cat'"
    assert text in warnings_in(caplog)
