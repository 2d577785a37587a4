"""A probe ends in a list of its backbones, the best first."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from trainyard.shortlist import Shortlist

REPOSITORY = Path(__file__).parents[1]


def rows_of(text: str) -> list[list[str]]:
    """The words of each line below the heading."""
    lines = text.splitlines()
    [heading] = [number for number, line in enumerate(lines) if line.split()[:2] == ["backbone", "val"]]
    return [line.split() for line in lines[heading + 1 :]]


def test_a_probe_ranks_its_backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "cache"))
    shapes = ["data=shapes", "data.count=60", "data.image_size=32", "data.batch_size=16", "trainer.max_epochs=2"]
    probe = ["experiment=probe", "model.backbone=test_resnet,test_vit", "model.weights=none", "model.image_size=32"]
    words = ["-m", *probe, *shapes, "accelerator=cpu", "logger=csv", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    probing = subprocess.run(
        [sys.executable, "train.py", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    results = {}
    for number, backbone in enumerate(["test_resnet", "test_vit"]):
        results[backbone] = json.loads((tmp_path / "sweep" / str(number) / "result.json").read_text())
    *rows, advice = rows_of(probing.stdout)
    assert [row[0] for row in rows] == ["1", "2"]
    for _, backbone, accuracy, seconds, millions, unit in rows:
        result = results[backbone]
        assert float(accuracy) == pytest.approx(result["metrics"]["val/acc"], abs=1e-4)
        assert float(seconds) == pytest.approx(result["data"]["features"]["seconds"], abs=0.06)
        assert (float(millions), unit) == (pytest.approx(result["parameters"] / 1e6, abs=0.06), "M")
    cost = {
        name: (-result["metrics"]["val/acc"], result["data"]["features"]["seconds"]) for name, result in results.items()
    }
    assert [row[1] for row in rows] == sorted(cost, key=cost.__getitem__)
    assert f"model.backbone={rows[0][1]}" in advice
    assert probing.stderr == ""


def job(folder: Path, backbone: str, **result: Any) -> None:
    folder.mkdir()
    OmegaConf.save({"model": {"backbone": backbone}}, folder / "config.yaml")
    (folder / "result.json").write_text(json.dumps(result))


def completed(accuracy: float, seconds: float) -> dict[str, Any]:
    features = {"features": {"images": 60, "seconds": seconds, "computed": True}}
    scores = {"metrics": {"val/acc": accuracy}, "parameters": 11_200_000, "seconds": 9.0}
    return {"status": "completed", **scores, "data": features, "error": None}


def test_equals_are_ranked_by_their_cost_and_failures_come_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path / "0", "slow", **completed(0.9, 4.0))
    job(tmp_path / "1", "broken", status="failed", error="OSError: no weights", seconds=1.0)
    job(tmp_path / "2", "fast", **completed(0.9, 3.0))
    job(tmp_path / "3", "best", **{**completed(0.95, 0), "data": {}})
    job(tmp_path / "4", "stopped", status="interrupted", error=None, seconds=1.0)
    (tmp_path / "5").mkdir()
    Shortlist().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert rows_of(capsys.readouterr().out) == [
        ["1", "best", "0.9500", "9.0", "11.2", "M"],
        ["2", "fast", "0.9000", "3.0", "11.2", "M"],
        ["3", "slow", "0.9000", "4.0", "11.2", "M"],
        ["-", "broken", "OSError:", "no", "weights"],
        ["-", "stopped", "interrupted"],
        ["go", "on", "with:", "model=transfer", "model.backbone=best", "finetune=fine_tune"],
    ]


def test_the_folds_of_a_backbone_are_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, accuracy in enumerate([0.99, 0.5, 0.8, 0.9]):
        name, fold = ["lucky", "better"][number // 2], number % 2
        job(tmp_path / str(number), name, **completed(accuracy, 1.0 + number))
        own = {"overrides": [f"model.backbone={name}", f"data.fold={fold}"]}
        OmegaConf.save({"model": {"backbone": name}, "run": own}, tmp_path / str(number) / "config.yaml")
    Shortlist().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert rows_of(capsys.readouterr().out) == [
        ["1", "better", "0.8500", "3.5", "11.2", "M"],
        ["2", "lucky", "0.7450", "1.5", "11.2", "M"],
        ["go", "on", "with:", "model=transfer", "model.backbone=better", "finetune=fine_tune"],
    ]


def test_a_backbone_that_fails_leaves_the_shortlist_to_the_others(tmp_path: Path) -> None:
    shapes = ["data=shapes", "data.count=60", "data.image_size=32", "data.batch_size=16", "trainer.max_epochs=1"]
    probe = ["experiment=probe", "model.backbone=test_resnet,test_vit", "model.weights=none", "model.image_size=32"]
    fault = ["+callbacks.fault._target_=tests.sweeps.faults.Fault", "+callbacks.fault.kind=kill", "seed=0"]
    command = [sys.executable, str(REPOSITORY / "train.py"), "-m", *probe, *shapes, *fault, "logger=csv"]
    (tmp_path / "cured").touch()  # nothing fails
    command += [f"+callbacks.fault.unless={tmp_path / 'cured'},{tmp_path / 'nowhere'}", "sweep.name=probe"]
    environment = {**os.environ, "TRAINYARD_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(REPOSITORY)}
    command.append("hydra.launcher.slots=2")
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    *rows, advice = rows_of(done.stdout)
    assert [row[1] for row in rows[2:]] == ["test_resnet", "test_vit"]
    assert {row[1] for row in rows[:2]} == {"test_resnet", "test_vit"}
    assert all(row[0] == "-" and "SIGKILL," in row for row in rows[2:])
    assert f"model.backbone={rows[0][1]}" in advice


def test_a_job_that_was_killed_before_it_began_has_a_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "result.json").write_text(json.dumps({"status": "failed", "error": "killed by SIGKILL"}))
    Shortlist().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert rows_of(capsys.readouterr().out) == [["-", "7", "killed", "by", "SIGKILL"]]
