"""The value range is inferred from the training files, stored in the model, and used for evaluation and prediction."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.data.images.image_writers import save_png16, save_tiff
from trainyard.config.composition import compose
from trainyard.data.cache import decoded_images
from trainyard.data.images import image_files
from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.statistics import image_statistics
from trainyard.data.sources.image_folder import ImageFolder
from trainyard.inference.evaluate import evaluate
from trainyard.inference.export_interface import describe_interface
from trainyard.inference.model_card import describe_inputs
from trainyard.inference.predict import predict_files
from trainyard.inspect.data import describe_data
from trainyard.io.errors import ConfigError
from trainyard.run.load_model import load_model
from trainyard.run.training import train

DRAWS = np.random.default_rng(0)


def levels(mean: float, side: int = 8) -> np.ndarray:
    return DRAWS.normal(mean, 12, (side, side)).clip(5, 170).round()


def filled(root: Path, kind: str = "u2", scale: float = 1, count: int = 10) -> Path:
    """Write `train/`, `val/` and `test/` of dark and light images; those of val and test reach further than train's."""
    for split in ("train", "val", "test"):
        for name, mean in (("dark", 40), ("light", 120)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                values = levels(mean)
                values[0, :2] = (5, 170) if split == "train" else (0, 255)
                save_tiff(folder / f"{number}.tif", (values * scale).astype(kind))
    return root


def opened(root: Path, **options: Any) -> ImageFolder:
    return ImageFolder(str(root), str(root.parent / "cache"), batch_size=4, **options)


@pytest.mark.parametrize(("kind", "scale"), [("u2", 1), ("u2", 16), ("i4", 100_000), ("i2", -100), ("f4", 1 / 255)])
@pytest.mark.parametrize("resident", [True, False])
def test_training_files_decide_and_others_are_clipped(tmp_path: Path, kind: str, scale: float, resident: bool) -> None:
    data = opened(filled(tmp_path / "set", kind, scale), resident=resident, num_workers=0)
    assert data.spec.value_range == pytest.approx(sorted([5 * scale, 170 * scale]), rel=1e-6)
    for split in ("train", "val", "test"):
        x, _ = data.splits[split].__getitems__(list(range(20)))
        assert x[:, 0, 0, :2].tolist() == [[0, 255] if scale > 0 else [255, 0]] * 20
    assert 0.2 < data.spec.std[0] < 0.3
    stored = np.stack([np.asarray(Image.open(path), "f8") for path in (tmp_path / "set/train").rglob("*.tif")])
    low, high = data.spec.value_range
    assert data.spec.std[0] * (high - low) == pytest.approx(stored.std(), rel=5e-3)
    assert data.spec.mean[0] * (high - low) + low == pytest.approx(stored.mean(), rel=5e-3)


def test_a_range_is_stored_as_numbers_and_old_checkpoints_have_none(tmp_path: Path) -> None:
    spec = opened(filled(tmp_path / "set")).spec
    stored = json.loads(json.dumps(spec.to_dict()))
    assert stored["value_range"] == [5, 170]
    assert DataSpec.from_dict(stored) == spec
    del stored["value_range"]
    assert DataSpec.from_dict(stored).value_range == ()


def test_8_bit_files_are_decoded_once_and_have_no_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        folder = tmp_path / "set" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(DRAWS.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / f"{number}.png")
    read: list[str] = []
    read_image = decoded_images.read_image
    monkeypatch.setattr(
        decoded_images, "read_image", lambda path, *rest: read.append(path.name) or read_image(path, *rest)
    )
    assert opened(tmp_path / "set", image_size=4).spec.value_range == ()
    assert len(read) == 20
    monkeypatch.setattr(Image.Image, "load", None)  # their heads are enough
    assert np.isnan([image_files.read_min_max(path) for path in (tmp_path / "set").rglob("*.png")]).all()


def test_cached_images_depend_on_the_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = filled(tmp_path / "set")
    reads: list[Path] = []
    read = image_files.read_values
    monkeypatch.setattr(image_files, "read_values", lambda picture, path: reads.append(path) or read(picture, path))
    expected = opened(root).spec
    assert len(reads) == 20 + 60, "the values of training files, then the pixels of all"
    assert opened(root).spec == expected
    assert len(reads) == 80
    other = opened(root, value_range=[0, 255])
    assert other.spec.value_range == (0, 255)
    assert other.splits["val"].x[:, 0, 0, :2].unique().tolist() == [0, 255]
    assert other.splits["train"].x[:, 0, 0, :2].unique().tolist() == [5, 170]
    assert len(reads) == 140
    assert opened(root, value_range=[5, 170]).spec == expected
    assert len(reads) == 140


def test_an_invalid_range_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.value_range=\[3.0, 3.0\]: black must be lower than white"):
        opened(tmp_path, value_range=[3, 3])


def test_beside_8_bit_files_16_bit_ones_keep_their_brightness(tmp_path: Path) -> None:
    root = filled(tmp_path / "set")
    for folder in (root / "train").iterdir():
        for path in list(folder.iterdir())[::2]:
            Image.fromarray(np.asarray(Image.open(path)).astype(np.uint8)).save(path.with_suffix(".png"))
            path.unlink()
    data = opened(root)
    assert data.spec.value_range == (0, 255)
    assert data.splits["train"].x[:, 0, 0, :2].tolist() == [[5, 170]] * 20


@pytest.mark.parametrize("black", [np.uint8, np.uint16, np.float32])
def test_constant_training_images_are_named(tmp_path: Path, black: type, caplog: pytest.LogCaptureFixture) -> None:
    root = filled(tmp_path / "set", count=2)
    for path in (root / "train").rglob("*.tif"):
        Image.fromarray(np.full((8, 8), int(path.stem), black)).save(path)
    with pytest.raises(ConfigError) as stopped:
        opened(root).splits  # noqa: B018
    assert str(stopped.value).splitlines() == [
        f"data.root={root}: all 4 training images are constant, each of a single colour: "
        "train/dark/0.tif, train/dark/1.tif, train/light/0.tif, train/light/1.tif",
        "  accepted: images that vary, or data.on_error=skip to train on these",
    ]
    assert len(opened(root, on_error="skip").splits["train"]) == 4
    assert "all 4 training images are constant" in caplog.text


def test_images_with_one_different_pixel_are_not_constant(tmp_path: Path) -> None:
    root = filled(tmp_path / "set", count=2)
    for path in (root / "train").rglob("*.tif"):
        Image.fromarray(np.full((8, 8), 7, np.uint8)).save(path)
    almost = np.full((1000, 1000), 255, np.uint8)
    almost[-1, -1] = 254
    Image.fromarray(almost).save(root / "train/dark/0.tif")
    assert len(opened(root, image_size=1000).splits["train"]) == 4


def test_outliers_of_the_value_range_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = filled(tmp_path / "set")
    save_png16(root / "train/dark/hot.png", np.array([[40] * 8] * 7 + [[65535] + [40] * 7], "u2"))
    opened(root).splits  # noqa: B018
    [warning] = [text for _, level, text in caplog.record_tuples if level == logging.WARNING]
    assert "vary by less than 1/256 of the range from 5 to 65535; if these values are outliers" in warning
    assert warning.endswith("set data.value_range=[LOW,HIGH]")
    caplog.clear()
    opened(root, value_range=[0, 255]).splits  # noqa: B018
    assert [level for _, level, _ in caplog.record_tuples if level == logging.WARNING] == []


def test_nan_pixels_are_reported_with_their_file(tmp_path: Path) -> None:
    root = filled(tmp_path / "set", "f4", 0.01)
    save_tiff(root / "train/dark/bad.tif", np.array([[0.5, np.nan], [0.1, 0.2]], "f4"))
    with pytest.raises(ConfigError, match=r"cannot be read: train/dark/bad.tif \(1 of 4 pixels are NaN or infinite\)"):
        opened(root).splits  # noqa: B018
    assert opened(root, on_error="skip").spec.value_range == pytest.approx((0.05, 1.7))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on float images, in a folder beside them."""
    home = tmp_path_factory.mktemp("home")
    filled(home / "set", "f4", 1 / 255)
    words = ["data=image_folder", f"data.root={home}/set", f"data.cache={home}/cache", "data.batch_size=4"]
    words += ["model=mlp", "model.hidden_dims=[8]", "optimizer.lr=0.03", "trainer.max_epochs=6", "logger=csv"]
    train(compose([*words, f"hydra.run.dir={home}/run"]))
    return home / "run"


def test_a_run_learns_dark_and_light(run: Path) -> None:
    assert json.loads((run / "result.json").read_text())["metrics"]["test/acc"] >= 0.99


def test_predict_reads_by_the_range_of_the_model(run: Path) -> None:
    with np.load(run / "predictions/val.npz") as stored:
        expected = stored["probabilities"]
    assert predict_files(str(run), [str(run.parent / "set/val")], run.parent / "found.csv") == 0
    assert np.abs(pd.read_csv(run.parent / "found.csv")[["dark", "light"]].to_numpy() - expected).max() < 1e-6


def test_another_folder_is_read_by_the_range_of_the_model(run: Path, tmp_path: Path) -> None:
    for name in ("dark", "light"):
        (tmp_path / name).mkdir()
        for number in range(3):  # all of one brightness: a range of their own would make them alike
            value = 40 if name == "dark" else 120
            save_tiff(tmp_path / name / f"{number}.tif", (levels(value) / 255).astype("f4"))
    found, _ = evaluate(str(run), [f"data.root={tmp_path}"])
    model = load_model(run / "checkpoints/best.ckpt")
    low, high = model.spec.value_range
    x = np.stack([np.asarray(Image.open(path), "f8") for path in sorted(tmp_path.rglob("*.tif"))])
    pixels = np.rint((x - low) / (high - low) * 255).clip(0, 255)
    expected = model.predict_step(torch.from_numpy(pixels)[:, None].float(), 0).detach()
    torch.testing.assert_close(found.predictions.probabilities, expected, atol=1e-5, rtol=1e-4)
    assert found.scores["test/acc"] == 1


def test_export_and_show_include_the_range(run: Path) -> None:
    model = load_model(run / "checkpoints/best.ckpt")
    spec = model.spec
    assert json.loads(describe_interface(model))["input"]["value_range"] == pytest.approx([5 / 255, 170 / 255])
    low, high = spec.value_range
    assert f"Values from {low:.9g} to {high:.9g} in the image files are pixels from 0 to 255" in describe_inputs(spec)
    data = opened(run.parent / "set")
    std = image_statistics(data.splits["train"].x)[1] * (170 - 5) / 255
    line = next(line for line in describe_data(data, "image_folder").splitlines() if line.startswith("values"))
    assert line.startswith("values       0.01960784 (black) to 0.6666667 (white) in the files; mean 0.")
    assert line.endswith(f"std {std.item():.5g}")
