"""The directory of a sweep: what it stores, and who may use it."""

import os
from pathlib import Path

import pytest

from tests.sweeps import synthetic
from trainyard.io.errors import ConfigError
from trainyard.sweeps.search_space import SearchSpace
from trainyard.sweeps.stored import StoredSweep, differences, lock_sweep


def space(*words: str) -> SearchSpace:
    return synthetic.space(words)


def test_who_comes_second_is_told_who_holds_it(tmp_path: Path) -> None:
    with lock_sweep(tmp_path):
        with pytest.raises(ConfigError, match=f"process {os.getpid()} is running it"), lock_sweep(tmp_path):
            pass
        assert (tmp_path / "holder").read_text() == f"{os.getpid()}\n", "it is still held"
    with lock_sweep(tmp_path):
        pass


def test_a_directory_keeps_its_space_and_refuses_another(tmp_path: Path) -> None:
    own = space("seed=0,1", "model=mlp", "+x='a,b',null")
    StoredSweep.create(tmp_path, own, "val/acc")
    written = (tmp_path / "sweep.yaml").read_text()
    StoredSweep.create(tmp_path, own, "val/acc")
    with pytest.raises(ConfigError) as refused:
        StoredSweep.create(tmp_path, space("seed=0,1,2", "optimizer=sgd", "+x='a,b',null"), "val/acc")
    assert str(refused.value).splitlines() == [
        f"sweep.name={tmp_path.name}: it is another sweep",
        "  seed: before 0,1, now 0,1,2",
        "  model: before mlp, now nothing",
        "  optimizer: before nothing, now sgd",
        "  accepted: the same command, to resume it; or another sweep.name",
    ]
    assert (tmp_path / "sweep.yaml").read_text() == written


def test_another_order_is_another_sweep(tmp_path: Path) -> None:
    """Its jobs would have other numbers."""
    StoredSweep.create(tmp_path, space("seed=0,1", "model=mlp,cnn"), "val/acc")
    with pytest.raises(ConfigError, match="another order"):
        StoredSweep.create(tmp_path, space("model=mlp,cnn", "seed=0,1"), "val/acc")
    assert differences({"seed": ["0", "1"]}, {"seed": ["1", "0"]}) == "  seed: before 0,1, now 1,0"


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "picture.png").touch()
    with pytest.raises(ConfigError, match=r"contains other files \(0\)"):
        StoredSweep.create(tmp_path, space("seed=0,1"), "val/acc")
    assert [path.name for path in tmp_path.rglob("*")] == ["0", "picture.png"]
