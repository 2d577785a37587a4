"""torchvision's data sets, read from small files in its own formats."""

import sys
from pathlib import Path

import pytest

from tests.conftest import Compose
from tests.data.torchvision_files import CLASSES, COUNT, IDX, SIDES, check, idx, labels, pictures, source, write_set
from trainyard.config import instantiate
from trainyard.data.torchvision_sets import FOLDERS, TorchvisionSet
from trainyard.errors import ConfigError

SETS = ("mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "cifar100", "svhn", "stl10")
OPTIONS = dict(zip(FOLDERS, SETS, strict=True))
NAMES = {
    "MNIST": list("0123456789"),
    "FashionMNIST": ["T-shirt/top", "Trouser", "Pullover"],
    "KMNIST": ["o", "ki", "su"],
    "EMNIST": list("0123456789ABC"),
    "SVHN": list("0123456789"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_each_option_gives_the_stored_pictures_upright_and_its_official_test_split(
    compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_set(tmp_path / "data", name, monkeypatch)
    data = instantiate(compose_run(f"data={OPTIONS[name]}", f"data.root={tmp_path / 'data'}", "data.batch_size=4").data)
    assert data.set_name == name
    check(data)
    expected = NAMES.get(name, ["c0", "c1", "c2"])
    assert list(data.classes[: len(expected)]) == expected
    assert len(data.classes) == CLASSES[name]
    assert data.spec.input_shape == (1 if name in IDX else 3, SIDES[name], SIDES[name])
    assert data.splits["test"].y.tolist() == labels("test", CLASSES[name]).tolist()
    assert len(data.splits["train"]) + len(data.splits["val"]) == COUNT["train"]


def write_variant(root: Path, variant: str, first: int) -> None:
    folder = root / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    for split in COUNT:
        (folder / f"emnist-{variant}-{split}-images-idx3-ubyte").write_bytes(idx(pictures(split, 28, 28)))
        (folder / f"emnist-{variant}-{split}-labels-idx1-ubyte").write_bytes(idx(labels(split, 10) + first))


@pytest.mark.parametrize(
    ("variant", "first", "count", "names"),
    [("letters", 1, 26, "abc"), ("digits", 0, 10, "012"), ("byclass", 0, 62, "012"), ("bymerge", 0, 47, "012")],
)
def test_variants_of_emnist(tmp_path: Path, variant: str, first: int, count: int, names: str) -> None:
    write_variant(tmp_path, variant, first)
    data = source("EMNIST", tmp_path, variant=variant)
    parts = data.read()
    assert parts["train"].y.tolist() == labels("train", 10).tolist(), "labels count from 0"
    assert parts["train"].x[3, 0].tolist() == pictures("train", 28, 28)[3].T.tolist()
    assert len(data.classes) == count
    assert data.classes[:3] == tuple(names)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("EMNIST", ".", "letter"), r"data\.variant=letter: .*\n.*byclass, bymerge, balanced, letters, digits, mnist"),
        (("EMNIST", ".", None), r"data\.variant=None: .*\n.*byclass, bymerge"),
        (("MNIST", ".", "letters"), r"data\.variant=letters: MNIST has no such variant\n.*null"),
        (("Mnist", "."), r"data\.name=Mnist: no such data set here\n.*MNIST, FashionMNIST"),
    ],
)
def test_a_set_or_variant_that_is_none(arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{text}"):
        TorchvisionSet(*arguments, batch_size=4)


@pytest.mark.parametrize("there", [True, False])
def test_a_missing_scipy_is_named_before_anything_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    if there:
        write_set(tmp_path, "SVHN", monkeypatch)
    monkeypatch.setitem(sys.modules, "scipy", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "scipy.io", raising=False)
    monkeypatch.setattr(TorchvisionSet, "fetch", lambda *_: pytest.fail("it was downloaded"))
    with pytest.raises(ConfigError) as error:
        source("SVHN", tmp_path).read()
    assert str(error.value) == (
        "data.name=SVHN: its files are read by the package scipy, which is not installed\n"
        "  accepted: SVHN after `pip install scipy`"
    )
