"""Features equal the backbone's output, and are computed once per image."""

import errno
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.data.cache.image_files_to_decode import COUNT, PIXELS, SHAPE, entries
from tests.data.cache.two_processes import run_twice_at_once
from trainyard.data.cache.decoded_images import file_digests
from trainyard.data.cache.features import Features, cached_features
from trainyard.data.images.image_files import ImageFiles
from trainyard.data.loading.loader import derive_generator
from trainyard.data.loading.spec import Examples
from trainyard.io.errors import ConfigError

IMAGES = torch.randint(0, 256, (40, 3, 8, 8), generator=derive_generator(0), dtype=torch.uint8)
SPLITS = {"train": Examples(IMAGES[:25], torch.arange(25)), "val": Examples(IMAGES[25:], torch.arange(15))}
with torch.random.fork_rng():
    torch.manual_seed(0)
    NETWORK = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(45, 7)).eval()
# Computes features of sixty images, four at a time, and logs each batch.
CHILD = """
import torch
from trainyard.data.cache.features import cached_features
from trainyard.data.loading.spec import Examples
images = torch.arange(60 * 4).view(60, 1, 2, 2).to(torch.uint8)
def backbone(images):
    note(int(images[0, 0, 0, 0]))
    return images.flatten(1).float()
wait()
found = cached_features({"train": Examples(images, torch.zeros(60))}, backbone, "key", folder / "cache", 4)
print(found.computed, int(found.splits["train"].read_all().sum()))
"""


class Backbone:
    """A network that counts its images."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        with torch.inference_mode():
            return NETWORK(images.float())


@pytest.fixture
def backbone() -> Backbone:
    return Backbone()


def assert_right(found: Features, splits: dict[str, Examples] = SPLITS) -> None:
    for name, part in splits.items():
        with torch.inference_mode():
            expected = NETWORK(part.x.float())
        assert found.splits[name].shape == expected.shape
        assert torch.allclose(found.splits[name].read_all(), expected, atol=1e-4)
        some = torch.tensor([3, 0, 3])
        assert torch.allclose(found.splits[name].read(some), expected[some], atol=1e-4)


def test_features_are_computed_once(backbone: Backbone, cache: Path) -> None:
    for batch_size, computed in ((7, True), (40, False)):
        found = cached_features(SPLITS, backbone, "key", cache, batch_size)
        assert_right(found)
        assert (found.computed, backbone.seen) == (computed, 40)
    assert entries(cache) != []


def test_equal_examples_have_one_row(backbone: Backbone, cache: Path) -> None:
    twice = Examples(IMAGES[[0, 1, 0, 30, 31, 30]], torch.arange(6))
    splits = {**SPLITS, "test": twice}
    found = cached_features(splits, backbone, "key", cache, 7)
    assert_right(found, splits)
    assert {len(part.table) for part in found.splits.values()} == {backbone.seen} == {40}


def test_another_split_of_the_same_images_computes_nothing(backbone: Backbone, cache: Path) -> None:
    cached_features(SPLITS, backbone, "key", cache, 7)
    mixed = IMAGES[torch.randperm(40, generator=derive_generator(1))]
    other = {name: Examples(part, torch.zeros(len(part))) for name, part in zip("abc", mixed.split(15), strict=True)}
    assert_right(cached_features(other, backbone, "key", cache, 7), other)
    assert (backbone.seen, len(entries(cache))) == (40, 1)


@pytest.mark.parametrize("what", ["key", "image", "fewer"])
def test_different_keys_and_images_have_separate_entries(backbone: Backbone, cache: Path, what: str) -> None:
    cached_features(SPLITS, backbone, "key", cache, 7)
    changed = SPLITS["train"].x.clone()
    changed[3, 1, 5, 5] ^= 1
    train = {"key": SPLITS["train"], "image": Examples(changed, torch.arange(25)), "fewer": SPLITS["val"]}[what]
    splits = {**SPLITS, "train": train}
    found = cached_features(splits, backbone, "other key" if what == "key" else "key", cache, 7)
    assert_right(found, splits)
    assert (found.computed, len(entries(cache))) == (True, 2)
    assert_right(cached_features(SPLITS, backbone, "key", cache, 7))
    assert backbone.seen == 40 + (15 if what == "fewer" else 40), "the first entry still exists"


@pytest.mark.parametrize("damaged", ["features.npy", "digests.npy"])
def test_truncated_entries_are_recomputed(backbone: Backbone, cache: Path, damaged: str) -> None:
    cached_features(SPLITS, backbone, "key", cache, 7)
    [file] = cache.glob(f"*/{damaged}")
    whole = file.read_bytes()
    for number, cut in enumerate((whole[:-1], whole[:10], b""), start=2):
        file.write_bytes(cut)
        found = cached_features(SPLITS, backbone, "key", cache, 7)
        assert_right(found)
        assert (found.computed, backbone.seen) == (True, 40 * number)


def test_inconsistent_entries_are_recomputed(backbone: Backbone, cache: Path) -> None:
    cached_features(SPLITS, backbone, "key", cache, 7)
    [file] = cache.glob("*/digests.npy")
    np.save(file, np.load(file)[:-1])
    assert_right(cached_features(SPLITS, backbone, "key", cache, 7))


@pytest.mark.parametrize("where", [(np, "save"), (np.lib.format, "write_array_header_1_0")])
def test_a_full_disk_is_reported(
    backbone: Backbone, cache: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[object, str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*where, full)
        with pytest.raises(ConfigError) as refused:
            cached_features(SPLITS, backbone, "key", cache, 7)
    problem, accepted = str(refused.value).splitlines()
    assert problem == f"callbacks.feature_cache.folder={cache}: cannot be written (No space left on device)"
    assert "callbacks.feature_cache=null" in accepted
    assert entries(cache) == []
    assert_right(cached_features(SPLITS, backbone, "key", cache, 7))


def test_an_unwritable_folder_is_not_used(backbone: Backbone, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "cache"
    for _ in range(2):
        found = cached_features(SPLITS, backbone, "key", nowhere, 7)
        assert_right(found)
        assert found.computed
    text = f"{nowhere} cannot be written (Not a directory): features are computed in each run"
    assert caplog.record_tuples == [("trainyard.data.cache", logging.WARNING, text)] * 2


def mean_colour(images: Tensor) -> Tensor:
    return images.float().mean(dim=(2, 3))


def files_of(paths: list[Path], cache: Path) -> dict[str, Examples]:
    cache.mkdir(exist_ok=True)
    digests = file_digests(paths, cache)
    files = ImageFiles(np.array([str(path) for path in paths]), torch.zeros(COUNT, 3, 2), digests, SHAPE)
    return {"train": Examples(files, torch.arange(COUNT))}


def test_files_are_identified_by_content(paths: list[Path], cache: Path) -> None:
    expected = torch.from_numpy(PIXELS).float().mean(dim=(1, 2))
    found = cached_features(files_of(paths, cache), mean_colour, "key", cache, 4)
    assert torch.allclose(found.splits["train"].read_all(), expected)
    paths[4].write_bytes(paths[5].read_bytes())
    found = cached_features(files_of(paths, cache), mean_colour, "key", cache, 4)
    assert found.computed
    assert len(found.splits["train"].table) == COUNT - 1, "two files have equal contents"
    assert torch.allclose(found.splits["train"].read_all()[3:6], expected[[3, 5, 5]])
    Image.fromarray(PIXELS[4]).save(paths[4])
    assert not cached_features(files_of(paths, cache), mean_colour, "key", cache, 4).computed, (
        "the first entry is loaded"
    )


def test_a_missing_file_is_reported_instead_of_the_cache(paths: list[Path], cache: Path) -> None:
    splits = files_of(paths, cache)
    paths[7].unlink()
    with pytest.raises(OSError, match=f"^{paths[7]}: No such file") as missing:
        cached_features(splits, mean_colour, "key", cache, 4)
    assert not isinstance(missing.value, ConfigError)
    assert entries(cache) == []


def test_of_two_concurrent_processes_one_computes(tmp_path: Path) -> None:
    outcomes, batches = run_twice_at_once(CHILD, tmp_path, 0)
    total = sum(number % 256 for number in range(240))
    assert outcomes == sorted([(f"True {total}\n", "", 0), (f"False {total}\n", "", 0)])
    assert batches == [str(start) for start in range(0, 240, 16)], "the other waits and loads"
    assert len(entries(tmp_path / "cache")) == 1
