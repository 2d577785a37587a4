"""Downloads of torchvision's data sets, from a folder that stands for the network: whole, or nothing stays."""

import shutil
import threading
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from tests.conftest import Compose
from tests.data.torchvision_files import IDX, check, source, write_set
from tests.data.torchvision_server import Server, write_archives
from trainyard import network
from trainyard.data.torchvision_sets import FOLDERS
from trainyard.errors import ConfigError
from trainyard.training import train


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


def drafts(root: Path) -> list[str]:
    return [path.name for path in root.rglob(".*")]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_download_is_used_and_kept(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server.folder = tmp_path / "server"
    archives = write_archives(server.folder, name, monkeypatch)
    check(source(name, tmp_path / "data"))
    assert sorted(server.asked) == archives, "each file once"
    assert drafts(tmp_path / "data") == []
    check(source(name, tmp_path / "data"))
    assert sorted(server.asked) == archives, "the second run finds them"


@pytest.mark.parametrize("name", FOLDERS)
def test_offline_the_error_says_what_to_put_where_and_that_helps(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = tmp_path / "data"
    archives = write_archives(tmp_path / "server", name, monkeypatch)
    with pytest.raises(ConfigError) as error:
        source(name, root).read()
    first, second = str(error.value).splitlines()
    folder = (root / FOLDERS[name]).resolve()
    reason = "<urlopen error nobody answers>"
    assert first == f"data.root={root}: {name} is not in {folder} and cannot be downloaded ({reason})"
    assert second.startswith(f"  accepted: {folder} with ")
    assert sorted(second.split(" with ")[1].split()) == archives
    assert not root.exists(), "nothing is left behind"
    shutil.copytree(tmp_path / "server", folder)
    check(source(name, root))
    assert drafts(root) == []


def test_a_run_without_a_network_leaves_nothing(
    compose_run: Compose, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"^data\.root=data: MNIST is not in {tmp_path}/data/MNIST/raw and"):
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
def test_nothing_half_written_stays(
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
def test_a_damaged_archive_is_named_or_replaced(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = tmp_path / "data" / FOLDERS[name]
    damaged = write_archives(folder, name, monkeypatch)[0]
    shutil.copytree(folder, tmp_path / "server")
    (folder / damaged).write_bytes(b"half")
    with pytest.raises(ConfigError, match=rf": {damaged} in {folder.resolve()} is damaged and cannot be downloaded"):
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


def test_two_at_once_download_once(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_any_answer_means_that_the_network_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: Any, timeout: float) -> None:
        raise HTTPError("http://x", 405, "Method Not Allowed", None, None)

    monkeypatch.setattr(network, "urlopen", refuse)
    network.check_reachable("http://x")
