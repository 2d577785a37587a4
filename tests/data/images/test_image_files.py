"""Image files of every kind are decoded upright and in the requested shape."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.images.image_writers import save_png_header
from trainyard.data.images.image_files import ImageFiles, common_shape, read_image

COLOUR = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]
RGB = Image.fromarray(COLOUR)
ORIENTATION = 0x0112
# The transform of the stored image for each orientation: the inverse of the one that is applied when it is read.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def save(folder: Path, name: str, picture: Image.Image, **options: Any) -> Path:
    picture.save(folder / name, **options)
    return folder / name


def on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colours * share + 255 * (1 - share)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.ppm"])
def test_colours_are_unchanged(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, name, RGB, lossless=True)
    assert read_image(path, (3, 6, 10)).transpose(1, 2, 0).tolist() == COLOUR.tolist()


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif", "a.pgm"])
def test_grey_images_have_one_channel(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, name, Image.fromarray(GREY))
    assert common_shape([path], None, None) == (1, 6, 10)
    assert read_image(path, (1, 6, 10))[0].tolist() == GREY.tolist()
    assert read_image(path, (3, 6, 10)).tolist() == [GREY.tolist()] * 3


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_jpeg_values_are_close(tmp_path: Path, mode: str) -> None:
    smooth = np.linspace(0, 255, 16 * 16).reshape(16, 16).astype(np.uint8)
    path = save(tmp_path, "a.jpg", Image.fromarray(smooth).convert("RGB").convert(mode), quality=100)
    assert common_shape([path], None, None) == (1 if mode == "L" else 3, 16, 16)
    assert np.abs(read_image(path, (3, 16, 16)) - smooth.astype(int)).max() <= 2


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    alpha = np.random.default_rng(1).integers(0, 256, (6, 10), dtype=np.uint8)
    rgba = Image.fromarray(np.dstack([COLOUR, alpha]))
    expected = on_white(COLOUR, alpha)
    for name in ("a.png", "a.webp", "a.tif"):
        pixels = read_image(save(tmp_path, name, rgba, lossless=True), (3, 6, 10)).transpose(1, 2, 0)
        assert np.abs(pixels - expected).max() <= 1
    pixels = read_image(save(tmp_path, "grey.png", Image.fromarray(np.dstack([GREY, alpha]))), (1, 6, 10))[0]
    assert np.abs(pixels - on_white(GREY[..., None], alpha)[..., 0]).max() <= 1


@pytest.mark.parametrize("name", ["a.png", "a.gif"])
def test_transparent_palette_entries_become_white(tmp_path: Path, name: str) -> None:
    palette = RGB.quantize(8)
    expected = np.asarray(palette.convert("RGB")).copy()
    expected[np.asarray(palette) == 3] = 255
    path = save(tmp_path, name, palette, transparency=3)
    assert common_shape([path], None, None) == (3, 6, 10)
    assert read_image(path, (3, 6, 10)).transpose(1, 2, 0).tolist() == expected.tolist()


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(tmp_path, name, RGB.transpose(STORED[orientation]), exif=exif, lossless=True)
    assert common_shape([path], None, None) == (3, 6, 10)
    assert read_image(path, (3, 6, 10)).transpose(1, 2, 0).tolist() == COLOUR.tolist()


@pytest.mark.parametrize("exif", [b"garbage!!", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_damaged_exif_data_is_ignored(tmp_path: Path, exif: bytes) -> None:
    path = save(tmp_path, "a.png", RGB, exif=exif)
    assert common_shape([path], None, None) == (3, 6, 10)
    assert read_image(path, (3, 6, 10)).transpose(1, 2, 0).tolist() == COLOUR.tolist()


def test_other_sizes_are_cropped_to_the_centre(tmp_path: Path) -> None:
    thirds = np.repeat(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8), 30, axis=1).repeat(30, axis=0)
    path = save(tmp_path, "a.png", Image.fromarray(thirds))
    inner = read_image(path, (3, 10, 10))[:, :, 2:-2]  # the edges mix with the neighbours
    assert np.unique(inner.reshape(3, -1), axis=1).T.tolist() == [[0, 255, 0]]


def test_the_common_shape_is_inferred(tmp_path: Path) -> None:
    sizes = {"a": (300, 40), "b": (60, 90), "c": (64, 64), "big": (400, 300)}  # width, height
    path = {name: save(tmp_path, f"{name}.png", Image.new("L", size)) for name, size in sizes.items()}
    (tmp_path / "broken.png").write_bytes(b"")
    some = [path["a"], path["b"], path["c"], tmp_path / "broken.png"]
    assert common_shape(some, None, None) == (1, 60, 60), "the median of the smaller sides"
    assert common_shape(some, 20, 3) == (3, 20, 20)
    assert common_shape([path["a"]] * 2, None, None) == (1, 40, 40), "one size, but a side above 224"
    assert common_shape([path["b"], save(tmp_path, "rgb.png", RGB.resize((60, 90)))], None, None) == (3, 90, 60)
    assert common_shape([path["big"]], None, None) == (1, 224, 224)
    assert common_shape([tmp_path / "broken.png"], None, None) == (3, 224, 224)


def test_image_files_are_indexed_like_a_tensor(tmp_path: Path) -> None:
    paths = [save(tmp_path, f"{value}.png", Image.new("L", (4, 5), value)) for value in range(6)]
    contents = np.arange(6 * 16, dtype=np.uint8).reshape(6, 16)
    files = ImageFiles(np.array([str(path) for path in paths]), torch.zeros(6, 1, 2), contents, (1, 5, 4))
    some = files[torch.tensor([5, 0, 3])]
    assert (files.shape, some.shape) == ((6, 1, 5, 4), (3, 1, 5, 4))
    assert some.digests.tolist() == contents[[5, 0, 3]].tolist()
    read = some.read(torch.tensor([2, 2, 0]))
    assert read.dtype == torch.uint8
    assert read.flatten(1).unique(dim=1).tolist() == [[3], [3], [5]]
    assert some.read(torch.tensor([1])).unique().tolist() == [0], "a batch of one"


SHAPE = (3, 4, 4)


@pytest.mark.parametrize("side", [50_000, 10_000])
def test_decompression_bombs_are_rejected(tmp_path: Path, side: int) -> None:
    path = save_png_header(tmp_path / "bomb.png", side, side)
    tracemalloc.start()
    with pytest.raises(OSError, match=r"bomb.png: more than the limit of 89,478,485 pixels$"):
        read_image(path, SHAPE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    assert path.stat().st_size < 200


def test_the_limit_itself_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    Image.new("RGB", (6, 5), "red").save(tmp_path / "30.png")
    Image.new("RGB", (31, 1), "red").save(tmp_path / "31.png")
    assert np.unique(read_image(tmp_path / "30.png", SHAPE), axis=0).shape == (2, 4, 4), "255, 0, 0"
    with pytest.raises(OSError, match="more than the limit of 30 pixels"):
        read_image(tmp_path / "31.png", SHAPE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_image(tmp_path / "31.png", SHAPE).shape == SHAPE


def test_irregular_files_are_rejected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", tmp_path, Path(os.devnull)):
        with pytest.raises(OSError, match=f"^{path}: not a regular file$"):
            read_image(path, SHAPE)
    with pytest.raises(OSError, match="No such file or directory"):
        read_image(tmp_path / "gone.png", SHAPE)
