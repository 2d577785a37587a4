"""Images with more than 8 bits per channel: the stored values are read, and their range becomes 0 to 255."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.images.image_writers import save_png16, save_tiff
from trainyard.data.images.image_files import common_shape, read_image, read_min_max
from trainyard.data.images.pixel_values import common_range, is_high_bit_depth, read_values

DRAWS = np.random.default_rng(0)
BYTES = DRAWS.integers(0, 256, (6, 10), dtype=np.uint8)
NAN, INF = np.nan, np.inf


def random_values(kind: str, channels: int) -> np.ndarray:
    """Return `[6, 10]` or `[6, 10, channels]` values from the whole range of a type."""
    shape = (6, 10) if channels == 1 else (6, 10, channels)
    if kind == "f4":
        return (DRAWS.normal(size=shape) * 1e5).astype(kind)
    limits = np.iinfo(kind)
    return DRAWS.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)


def stored_values(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert is_high_bit_depth(picture)
        return read_values(picture, path)


KINDS = [("i1", 1), ("u2", 1), ("u2", 3), ("u2", 4), ("i2", 1), ("i4", 1), ("f4", 1)]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("kind", "channels", "order"), [*((*kind, order) for kind in KINDS for order in "<>"), ("u4", 1, "<")]
)
def test_values_of_a_tiff(tmp_path: Path, kind: str, channels: int, order: str, compressed: bool) -> None:
    stored = random_values(kind, channels)
    assert np.array_equal(stored_values(save_tiff(tmp_path / "a.tif", stored, order, compressed)), stored)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_values_of_a_png(tmp_path: Path, channels: int) -> None:
    stored = random_values("u2", channels)
    path = save_png16(tmp_path / "a.png", stored)
    assert np.array_equal(stored_values(path), stored)
    assert common_shape([path], None, None) == (1 if channels < 3 else 3, 6, 10)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.bmp", "a.tif", "a.webp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_8_bit_files_have_no_range(tmp_path: Path, name: str, mode: str) -> None:
    if mode == "P" and name in ("a.jpg", "a.webp"):
        return
    Image.fromarray(BYTES).convert(mode).save(tmp_path / name)
    assert np.isnan(read_min_max(tmp_path / name)).all()
    ranges: list[tuple[float, ...]] = [(), (0.0, 1.0), (100.0, 65535.0)]
    pixels = [read_image(tmp_path / name, (3, 6, 10), value_range).tolist() for value_range in ranges]
    assert pixels[1:] == pixels[:1] * 2, "the range is that of other files"


@pytest.mark.parametrize(
    ("stored", "value_range"),
    [
        (BYTES.astype("u2"), (0, 255)),
        (BYTES.astype("i4") * 1000 - 70_000, (-70_000, 185_000)),
        (BYTES.astype("f4") / 255, (0, 1)),
        (BYTES.astype("f4") * 1e-7 - 1, (-1, 255e-7 - 1)),
        (BYTES.astype("u2") * 16, (0, 4080)),
        (np.dstack([BYTES, BYTES[::-1], BYTES[:, ::-1]]).astype("u2"), (0, 255)),
    ],
)
def test_the_range_becomes_0_to_255(tmp_path: Path, stored: np.ndarray, value_range: tuple[float, float]) -> None:
    path = save_tiff(tmp_path / "a.tif", stored)
    expected = [BYTES] if stored.ndim == 2 else [BYTES, BYTES[::-1], BYTES[:, ::-1]]
    assert np.array_equal(read_image(path, (len(expected), 6, 10), value_range), expected)
    assert read_min_max(path) == (stored.min(), stored.max())


def test_values_beyond_the_range_are_clipped(tmp_path: Path) -> None:
    stored = np.array([[-(2**31), -1, 0, 50, 100, 101, 2**31 - 1]], dtype="i4")
    path = save_tiff(tmp_path / "a.tif", stored)
    assert read_image(path, (1, 1, 7), (0.0, 100.0)).tolist() == [[[0, 0, 0, 128, 255, 255, 255]]]


@pytest.mark.parametrize("opaque", [1, 255, 4095, 65535])
def test_transparent_pixels_become_white_and_alpha_is_not_part_of_the_range(tmp_path: Path, opaque: int) -> None:
    stored = np.full((2, 4, 4), 100, dtype="u2")
    stored[..., 3] = [[opaque, 0, opaque, opaque]] * 2
    stored[0, 0, :3] = 0
    path = save_png16(tmp_path / "a.png", stored)
    assert read_min_max(path) == (0, 100)
    assert read_image(path, (3, 2, 4), (0.0, 200.0))[0].tolist() == [[0, 255, 128, 128], [128, 255, 128, 128]]


def test_exif_orientation_applies_to_16_bit_images(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(BYTES.astype("u2")).save(tmp_path / "a.png", exif=exif)
    turned = read_image(tmp_path / "a.png", (1, 10, 6), (0.0, 255.0))[0]
    assert np.array_equal(turned, np.rot90(BYTES, -1))


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_nan_and_infinite_pixels_are_an_error(tmp_path: Path, value: float) -> None:
    stored = random_values("f4", 1)
    stored[2, 3:5] = value
    path = save_tiff(tmp_path / "a.tif", stored)
    with pytest.raises(OSError, match=r"a.tif: 2 of 60 pixels are NaN or infinite$"):
        read_image(path, (1, 6, 10), (0.0, 1.0))
    assert np.isinf(read_min_max(path)).all()


def test_unsupported_tiff_files_are_reported(tmp_path: Path) -> None:
    path = save_tiff(tmp_path / "a.tif", BYTES.astype("f8"))
    with pytest.raises(OSError, match=r"a.tif: not an image that Pillow can read"):
        read_image(path, (1, 6, 10))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([[NAN, NAN]] * 2, ()),
        ([[INF, INF]] * 2, ()),
        ([[NAN, NAN], [INF, INF]], ()),
        ([[3, 100], [5, 178], [INF, INF]], (3, 178)),
        ([[-0.5, 0.1], [0, 0.2]], (-0.5, 0.2)),
        ([[3, 178], [NAN, NAN]], (0, 255)),
        ([[0.1, 0.6], [NAN, NAN]], (0, 1)),
        ([[-7, 300], [NAN, NAN]], (-7, 4095)),
        ([[10, 60_000], [NAN, NAN]], (0, 65535)),
        ([[10, 70_000], [NAN, NAN]], (0, 70_000)),
    ],
)
def test_the_range_of_many_files(found: list[list[float]], expected: tuple[float, ...]) -> None:
    assert common_range(np.array(found)) == expected


@pytest.mark.parametrize(
    ("stored", "pixels"),
    [
        (BYTES.astype("u2"), BYTES),
        (BYTES.astype("u2") * 257, BYTES),
        (BYTES.astype("f4") / 255, BYTES),
        (BYTES.astype("i4"), BYTES),
    ],
)
def test_beside_8_bit_training_images_a_file_has_the_range_of_its_bit_depth(
    tmp_path: Path, stored: np.ndarray, pixels: np.ndarray
) -> None:
    stored.flat[0], pixels = stored.max(), pixels.copy()
    pixels.flat[0] = pixels.max()
    assert np.array_equal(read_image(save_tiff(tmp_path / "a.tif", stored), (1, 6, 10), ())[0], pixels)
