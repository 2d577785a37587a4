"""Special names of working folders and files: the run works, or one sentence states the reason."""

import json
import os
from pathlib import Path

import pytest

from trainyard.cli.error_reports import check_text
from trainyard.history.find_run import find_checkpoint, find_run
from trainyard.inference.evaluate import evaluate
from trainyard.inference.prediction_inputs import find_inputs
from trainyard.io.errors import ConfigError
from trainyard.sweeps.stored import StoredSweep

ROWS = "\n".join(["x,y,class", *(f"{number % 7},{number % 5},{'ab'[number % 2]}" for number in range(40))])
TINY = ("model.hidden_dims=[4]", "trainer.max_epochs=1", "callbacks=none", "data.batch_size=8")
NAMES = ["emoji 🐈 é", "q'uo\"te", "a=b,c$d{e}%f", "new\nline", "a" * 240]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_works_in_folders_with_special_names(
    name: str, run_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / name
    place.mkdir()
    monkeypatch.chdir(place)
    (place / "table.csv").write_text(ROWS)
    code, _, errors = run_train("data=table", "data.path=table.csv", "data.target=class", *TINY)
    assert (code, errors) == (0, "")
    run = find_run("latest")
    result = json.loads((run.folder / "result.json").read_bytes().decode("utf-8"))
    assert result["status"] == "completed"
    assert json.loads((run.folder / "provenance.json").read_bytes().decode("utf-8"))["directory"] == str(place)
    assert "epoch 1/1" in (run.folder / "run.log").read_bytes().decode("utf-8")
    found, _ = evaluate("latest")
    assert found.scores["test/acc"] == result["metrics"]["test/acc"]


@pytest.mark.parametrize("name", ["${seed}", b"x\xff"])
def test_a_working_folder_that_is_not_text_is_rejected(
    name: str | bytes, run_train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / os.fsdecode(name)
    place.mkdir()
    monkeypatch.chdir(place)
    code, _, errors = run_train(*TINY)
    assert code == 1
    assert errors.startswith("working folder=")
    assert len(errors.splitlines()) == 2
    assert not list(place.iterdir())


@pytest.mark.parametrize("word", [b"data.path=t\xff.csv", b"hydra.run.dir=r\xff", b"\xff"])
def test_arguments_that_are_not_utf_8_are_rejected(word: bytes, run_train, tmp_path: Path) -> None:
    code, _, errors = run_train("data=table", "data.target=class", os.fsdecode(word))
    assert code == 1
    assert "\\xff" in errors
    assert errors.splitlines()[1:] == ["  accepted: UTF-8 text"]
    assert not list(tmp_path.iterdir())


def test_long_name_is_rejected(run_train, tmp_path: Path) -> None:
    code, _, errors = run_train(*TINY, f"hydra.run.dir={'a' * 256}")
    assert code == 1
    assert "hydra.run.dir=aaa" in errors
    assert ": a name of 256 bytes\n" in errors
    assert not list(tmp_path.iterdir())


LONG = ("a" * 256, "b/" * 2100 + "b", "é" * 128)
PLACES = {
    "data.path": ("data=table", "data.target=x"),
    "data.test_path": ("data=table", "data.path=t.csv", "data.target=x"),
    "data.root": ("data=image_folder",),
    "model.weights": ("model=transfer", "model.backbone=resnet18"),
    "logger.csv.save_dir": (),
    "callbacks.feature_cache.folder": (),
    "hydra.run.dir": (),
}


@pytest.mark.parametrize("name", LONG[:2], ids=["a name", "a path"])
@pytest.mark.parametrize("key", PLACES)
def test_long_path_is_rejected_before_the_run(run_train, tmp_path: Path, key: str, name: str) -> None:
    code, _, errors = run_train(*PLACES[key], f"{key}={name}")
    assert code == 1
    assert errors.startswith(f"{key}={name[:50]}")
    assert "at most 4095 bytes, each name in it at most 255" in errors
    assert len(errors.splitlines()) <= 3
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["a\0b", *LONG])
def test_runs_sweeps_and_inputs_with_invalid_names_are_rejected(name: str) -> None:
    for find in (find_run, find_checkpoint, StoredSweep.find):
        with pytest.raises(ConfigError, match=r"^(RUN|SWEEP)=.*\n  accepted: a path of at most 4095 bytes"):
            find(name)
    with pytest.raises(ConfigError, match=r"a (name|path) (of|with)"):
        find_inputs([name])


DIGITS = "1" * 5000


@pytest.mark.parametrize("word", ["seed={}", "optimizer.lr=0.{}", "model.hidden_dims=[8,{}]", "-m seed=0,{}", "+x={}"])
def test_numbers_with_too_many_digits_are_rejected(run_train, tmp_path: Path, word: str) -> None:
    code, _, errors = run_train(*word.format(DIGITS).split())
    assert code == 1
    assert ": a number of 5000 digits\n  accepted: at most 4300 digits\n" in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "said"), [(DIGITS, "big.yaml: "), (f"0x{DIGITS}", "optimizer.lr=0x1")])
def test_long_numbers_in_files_and_environment_variables_are_rejected(
    run_train, tmp_path: Path, monkeypatch, number: str, said: str
) -> None:
    monkeypatch.setenv("BIG", number)
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "big.yaml").write_text(f"# @package _global_\noptimizer:\n  lr: {number}\n")
    code, _, errors = run_train("--config-dir", "mine", "experiment=big")
    assert code == 1
    assert said in errors
    assert max(map(len, errors.splitlines())) < 400
    assert run_train("seed=${oc.env:BIG}")[0] == 1
    assert not [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()]


def test_utf_8_arguments_are_accepted() -> None:
    check_text(["model=cnn", "data.path=é"])
    with pytest.raises(ConfigError, match=r"data.path=\\xfe: not UTF-8"):
        check_text([os.fsdecode(b"data.path=\xfe")])
