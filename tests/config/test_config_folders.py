"""The user's own configs: they precede the built-in ones, also in Python and in an own program."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from trainyard import compose, sweep, train
from trainyard.config.composition import CONF_DIR, config_groups, describe_replaced, load_root
from trainyard.config.config_folders import added, config_folders, search_first, split_config_dir
from trainyard.config.import_path import is_importable
from trainyard.io.errors import ConfigError

TINY = ["data=penguins", "callbacks=none", "logger=csv", "trainer.max_epochs=1", "accelerator=cpu"]
FILES = {
    "model/mlp.yaml": "_target_: trainyard.models.mlp.MLP\nhidden_dims: [3]\n",
    "model/tiny.yaml": "defaults: [cnn]\nchannels: [2]\n",
    "model/tiny_mlp.yaml": "defaults: [mlp]\nhidden_dims: [2]\n",
    "net/unet.yaml": "depth: 3\n",
    "experiment/mine.yaml": "# @package _global_\ndefaults:\n  - override /model: tiny\nseed: 5\n",
}


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of own configs, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "conf"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("absolute", [True, False])
def test_own_options_replace_and_extend_built_in_ones(conf: Path, absolute: bool) -> None:
    folder = conf if absolute else "conf"
    assert compose(config_dir=folder).model.hidden_dims == [3]
    cfg = compose(["experiment=mine", "+net=unet"], folder)
    assert (cfg.model.channels, cfg.seed, cfg.net.depth) == ([2], 5, 3)
    assert cfg.run.choices.model == "tiny"
    groups = config_groups()
    assert groups["net"] == ["unet"]
    assert {"tiny", "mlp", "resnet"} <= set(groups["model"])
    assert compose().model.hidden_dims == [256, 128], "only where the folder is given"
    assert "net" not in config_groups()


def test_replaced_options_are_named(conf: Path) -> None:
    (conf / "train.yaml").write_text((CONF_DIR / "train.yaml").read_text().replace("seed: 0", "seed: 8"))
    assert compose([], conf).seed == load_root().seed == 8
    expected = [
        "conf/train.yaml replaces the built-in root config",
        "conf/model/mlp.yaml replaces the built-in option model=mlp",
    ]
    assert describe_replaced(["model=mlp", "model=tiny", "net=unet", "data=digits"]) == expected
    assert describe_replaced(["model=cnn"]) == expected[:1]


def test_folders_of_the_search_path_come_last(conf: Path) -> None:
    cfg = compose([f"hydra.searchpath=[{conf}]", "model=tiny", "+net=unet"])
    assert (cfg.model.channels, cfg.net.depth) == ([2], 3)
    assert "tiny" in config_groups()["model"]
    unused = "conf/model/mlp.yaml is not used: hydra.searchpath comes after the built-in option model=mlp"
    assert describe_replaced(["model=mlp"]) == [unused]


def test_a_run_and_a_sweep_in_python(conf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = "conf/model/mlp.yaml replaces the built-in option model=mlp\n"
    train(compose([*TINY, "hydra.run.dir=run"], "conf"))
    assert line in capfd.readouterr().out
    assert line in Path("run", "run.log").read_text()
    jobs = sweep([*TINY, "model=mlp,tiny_mlp", "sweep.name=both", "+net=unet"], conf).jobs
    assert len(jobs) == 2
    assert OmegaConf.load("outputs/sweeps/both/0/config.yaml").net.depth == 3
    assert line in capfd.readouterr().out


def test_other_programs_search_no_folder_of_ours(conf: Path) -> None:
    from hydra import compose as hydra_compose

    compose([], conf)
    assert added == []
    (conf / "app.yaml").write_text("a: 1\n")
    with initialize_config_dir(str(conf), version_base="1.3"):
        assert hydra_compose("app") == {"a": 1}


def test_missing_folder() -> None:
    with pytest.raises(ConfigError, match=r"config_dir=nowhere: does not exist\n  accepted: a folder of config"):
        compose([], "nowhere")


def test_option_among_the_arguments() -> None:
    assert split_config_dir(["-m", "-cd", "a", "x=1"]) == (["-m", "x=1"], ["-cd", "a"])
    assert split_config_dir(["x=1", "--config-dir=a"]) == (["x=1"], ["--config-dir=a"])
    assert split_config_dir(["x=1", "--config-dir"]) == (["x=1"], ["--config-dir"])
    for words in (["--config-dir"], ["--config-dir="], ["--config-dir=a", "-cd", "b"]):
        with pytest.raises(ConfigError, match="one folder is needed"):
            config_folders(words)
    assert config_folders([]) == []


@pytest.mark.parametrize("words", [["--config-dir", "a=b c"], ["-cd=a=b c"]])
def test_a_name_with_any_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b c").mkdir()
    assert config_folders(words) == [tmp_path / "a=b c"]


def test_nested_folders(tmp_path: Path) -> None:
    with search_first([tmp_path / "a"]):
        with search_first([tmp_path / "b", tmp_path / "a"]):
            assert added == [tmp_path / "b", tmp_path / "a"]
        assert added == [tmp_path / "a"]
    assert added == []


def test_a_folder_without_init_does_not_hide_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "namespace_of_others").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_importable("namespace_of_others")
    assert is_importable("pytest")
    assert is_importable("sys")
    assert not is_importable("nobody_has_this")


PROGRAM = """\
import hydra
from omegaconf import DictConfig

from trainyard import train


@hydra.main(version_base=None, config_path="conf", config_name="own")
def main(cfg: DictConfig) -> float:
    return train(cfg).objective


if __name__ == "__main__":
    main()
"""
OWN = """\
defaults:
  - train
  - override model: mlp
  - override data: penguins
  - _self_
trainer:
  max_epochs: 2
hydra:
  searchpath: ["${trainyard_conf:}"]
"""


@pytest.mark.slow
def test_an_own_program_trains_resumes_and_sweeps(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (conf / "own.yaml").write_text(OWN)

    def run(*words: str) -> str:
        command = [sys.executable, "program.py", *words, "callbacks=none", "logger=csv", "accelerator=cpu"]
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = run("hydra.run.dir=run")
    assert first.startswith("conf/model/mlp.yaml replaces the built-in option model=mlp\nmodel      mlp (")
    result = Path("run", "result.json")
    result.write_text(result.read_text().replace("completed", "interrupted"))
    assert "resuming from run/checkpoints/last.ckpt" in run("hydra.run.dir=run")
    assert "4 jobs, 4 to do" in run("-m", "seed=0,1", "model=mlp,tiny_mlp", "sweep.name=s", "+net=unet")
    assert len([*Path("outputs/sweeps/s").glob("*/result.json")]) == 4
