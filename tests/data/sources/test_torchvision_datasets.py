"""torchvision's data sets, read from small files in its own formats."""

import shutil
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from tests.conftest import Compose
from tests.data.sources.torchvision_files import (
    CLASSES,
    COUNT,
    IDX,
    SIDES,
    check,
    idx,
    labels,
    pictures,
    source,
    write_set,
)
from tests.data.sources.torchvision_server import Server, write_archives
from trainyard.config.composition import instantiate
from trainyard.data.sources.torchvision_datasets import FOLDERS, TorchvisionDataset
from trainyard.io import downloads as network
from trainyard.io.errors import ConfigError
from trainyard.run.training import train

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
def test_each_option_loads_upright_images_and_the_official_test_split(
    compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_set(tmp_path / "data", name, monkeypatch)
    data = instantiate(compose_run(f"data={OPTIONS[name]}", f"data.root={tmp_path / 'data'}", "data.batch_size=4").data)
    assert data.dataset_name == name
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
def test_emnist_variants_are_loaded(tmp_path: Path, variant: str, first: int, count: int, names: str) -> None:
    write_variant(tmp_path, variant, first)
    data = source("EMNIST", tmp_path, variant=variant)
    parts = data.read()
    assert parts["train"].y.tolist() == labels("train", 10).tolist(), "labels begin at 0"
    assert parts["train"].x[3, 0].tolist() == pictures("train", 28, 28)[3].T.tolist()
    assert len(data.classes) == count
    assert data.classes[:3] == tuple(names)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("EMNIST", ".", "letter"), r"data\.variant=letter: .*\n.*byclass, bymerge, balanced, letters, digits, mnist"),
        (("EMNIST", ".", None), r"data\.variant=None: .*\n.*byclass, bymerge"),
        (("MNIST", ".", "letters"), r"data\.variant=letters: MNIST has no such variant\n.*null"),
        (("Mnist", "."), r"data\.name=Mnist: unknown data set\n.*MNIST, FashionMNIST"),
    ],
)
def test_unknown_data_sets_and_variants_are_rejected(arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{text}"):
        TorchvisionDataset(*arguments, batch_size=4)


@pytest.mark.parametrize("there", [True, False])
def test_missing_scipy_is_reported_before_downloading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    if there:
        write_set(tmp_path, "SVHN", monkeypatch)
    monkeypatch.setitem(sys.modules, "scipy", None)  # not installed
    monkeypatch.delitem(sys.modules, "scipy.io", raising=False)
    monkeypatch.setattr(TorchvisionDataset, "download", lambda *_: pytest.fail("it was downloaded"))
    with pytest.raises(ConfigError) as error:
        source("SVHN", tmp_path).read()
    assert str(error.value) == (
        "data.name=SVHN: its files are read by the package scipy, which is not installed\n"
        "  accepted: SVHN after `pip install scipy`"
    )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


def drafts(root: Path) -> list[str]:
    return [path.name for path in root.rglob(".*")]


@pytest.mark.parametrize("name", FOLDERS)
def test_downloaded_files_are_reused(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server.folder = tmp_path / "server"
    archives = write_archives(server.folder, name, monkeypatch)
    check(source(name, tmp_path / "data"))
    assert sorted(server.asked) == archives, "each file once"
    assert drafts(tmp_path / "data") == []
    check(source(name, tmp_path / "data"))
    assert sorted(server.asked) == archives, "the second run reuses them"


@pytest.mark.parametrize("name", FOLDERS)
def test_offline_error_says_which_files_to_provide(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = tmp_path / "data"
    archives = write_archives(tmp_path / "server", name, monkeypatch)
    with pytest.raises(ConfigError) as error:
        source(name, root).read()
    first, second = str(error.value).splitlines()
    folder = (root / FOLDERS[name]).resolve()
    reason = "<urlopen error nobody answers>"
    assert first == f"data.root={root}: {name} is missing or damaged in {folder} and cannot be downloaded ({reason})"
    assert second.startswith(f"  accepted: {folder} with ")
    assert sorted(second.split(" with ")[1].split()) == archives
    assert not root.exists(), "no files are left"
    shutil.copytree(tmp_path / "server", folder)
    check(source(name, root))
    assert drafts(root) == []


def test_a_run_without_a_network_leaves_no_files(
    compose_run: Compose, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigError, match=rf"^data\.root=data: MNIST is missing or damaged in {tmp_path}/data/MNIST/raw and"
    ):
        train(compose_run("data=mnist"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["MNIST", "EMNIST", "CIFAR10", "SVHN"])
@pytest.mark.parametrize(
    ("failure", "raised", "text"),
    [
        (URLError("the line is cut"), ConfigError, "cannot be downloaded .*the line is cut"),
        (HTTPError("http://x", 403, "Forbidden", None, None), ConfigError, "cannot be downloaded .*403: Forbidden"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_failed_downloads_leave_no_files(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, name: str, failure: Any, raised: Any, text: str
) -> None:
    server.folder, server.failure = tmp_path / "server", failure
    write_archives(server.folder, name, monkeypatch)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("kept")
    with pytest.raises(raised, match=text):
        source(name, tmp_path / "data").read()
    assert [path.name for path in (tmp_path / "data").rglob("*")] == ["mine.txt"]
    with pytest.raises(raised):
        source(name, tmp_path / "new").read()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["KMNIST", "CIFAR100"])
def test_a_damaged_archive_is_reported_or_replaced(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "data" / FOLDERS[name]
    damaged = write_archives(folder, name, monkeypatch)[0]
    shutil.copytree(folder, tmp_path / "server")
    (folder / damaged).write_bytes(b"half")
    with pytest.raises(ConfigError, match=rf": {name} is missing or damaged in {folder.resolve()} and cannot"):
        source(name, tmp_path / "data").read()
    server.folder = tmp_path / "server"
    check(source(name, tmp_path / "data"))
    assert server.asked == [damaged], "the others are used"


@pytest.mark.parametrize("content", [b"", b"\0\0", b"\0\0\x08\x03\0\0\0\x28", b"not an idx file at all"])
@pytest.mark.parametrize("name", IDX)
def test_a_damaged_set_is_downloaded_again(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    write_set(tmp_path / "data", name, monkeypatch)
    for path in (tmp_path / "data" / name / "raw").glob("*images*"):
        path.write_bytes(content)
    server.folder = tmp_path / "server"
    write_archives(server.folder, name, monkeypatch)
    check(source(name, tmp_path / "data"))


def test_concurrent_processes_download_once(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.folder = tmp_path / "server"
    archives = write_archives(server.folder, "MNIST", monkeypatch)
    sources = [source("MNIST", tmp_path / "data") for _ in range(3)]
    threads = [threading.Thread(target=data.read) for data in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(server.asked) == archives
    check(sources[0])


def test_a_server_with_an_http_error_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: Any, timeout: float) -> None:
        raise HTTPError("http://x", 405, "Method Not Allowed", None, None)

    monkeypatch.setattr(network, "urlopen", refuse)
    network.check_reachable("http://x")
