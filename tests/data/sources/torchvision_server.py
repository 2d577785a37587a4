"""Archives of torchvision's data sets, and a folder in place of the network."""

import gzip
import shutil
import tarfile
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import pytest
import torchvision.datasets.utils
from torchvision import datasets

from tests.data.sources.torchvision_files import IDX, idx_files, md5, write_set, write_svhn
from trainyard.io import downloads as network


def write_archives(folder: Path, name: str, patch: pytest.MonkeyPatch) -> list[str]:
    """Write the archives of a data set, set their MD5s in torchvision, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    make = getattr(datasets, name)
    if name == "SVHN":
        write_svhn(folder, patch)
    elif name == "EMNIST":
        with zipfile.ZipFile(folder / "gzip.zip", "w") as archive:
            for file, content in idx_files(name).items():
                archive.writestr(f"gzip/{file}.gz", gzip.compress(content))
        patch.setattr(make, "md5", md5(folder / "gzip.zip"))
    elif name in IDX:
        for file, content in idx_files(name).items():
            (folder / f"{file}.gz").write_bytes(gzip.compress(content))
        patch.setattr(make, "resources", [(file, md5(folder / file)) for file, _ in make.resources])
    else:
        write_set(folder / "unpacked", name, patch)
        with tarfile.open(folder / make.filename, "w:gz") as archive:
            archive.add(folder / "unpacked" / make.base_folder, make.base_folder)
        shutil.rmtree(folder / "unpacked")
        patch.setattr(make, "tgz_md5", md5(folder / make.filename))
    return sorted(path.name for path in folder.iterdir())


class Server:
    """Replaces the network by the files of a folder; without one, nothing responds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.folder: Path | None = None
        self.asked: list[str] = []
        self.failure: BaseException | None = None
        patch.setattr(network, "urlopen", self.head)
        patch.setattr(torchvision.datasets.utils, "_get_redirect_url", lambda url, max_hops: url)
        patch.setattr(torchvision.datasets.utils, "_urlretrieve", self.give)

    def head(self, request: Any, timeout: float) -> SimpleNamespace:
        assert timeout <= 5, "a user waits"
        if self.folder is None:
            raise URLError("nobody answers")
        return SimpleNamespace(close=lambda: None)

    def give(self, url: str, filename: str) -> None:
        assert self.folder is not None, "downloaded without a network"
        self.asked.append(Path(filename).name)
        content = (self.folder / Path(filename).name).read_bytes()
        time.sleep(0.01)
        Path(filename).write_bytes(content[: len(content) // 2] if self.failure else content)
        if self.failure:
            raise self.failure
