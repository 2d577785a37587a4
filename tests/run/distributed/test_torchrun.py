"""All processes of a torchrun command are one run, and a restart resumes it."""

import json
from pathlib import Path

import pytest
import torch

from tests.run.distributed.ranks import DDP, TORCHRUN, Die, end, start
from trainyard.config.composition import compose, run_name
from trainyard.run.run_directory import remove_failed_result

SAME = ("optimizer=sgd", "model.dropout=0.2", *DDP)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("04af67a4-f2a4-40ca-aeab-5fb18f9f43f5", "torchrun-04af67a4"),
        ("night 7/b", "torchrun-night-7-b"),
        ("none", "torchrun-x8_k2f"),
    ],
)
def test_all_ranks_share_one_directory(monkeypatch: pytest.MonkeyPatch, given: str, name: str) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", given)
    for rank, restart in ((0, 0), (1, 0), (1, 2)):
        monkeypatch.setenv(
            "TORCHELASTIC_ERROR_FILE", f"/tmp/torchelastic_ab/none_x8_k2f/attempt_{restart}/{rank}/error.json"
        )
        assert run_name("own") == name
        assert compose([]).run.dir == str(Path("outputs", "runs", name).absolute())


def test_name_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert run_name("own") == "own"


def test_failed_result_is_removed_at_a_restart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text('{"status": "failed"}')
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT", raising=False)
    remove_failed_result(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    remove_failed_result(tmp_path)
    assert result.is_file()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    remove_failed_result(tmp_path)
    remove_failed_result(tmp_path)
    assert not result.is_file()
    objective = {"name": "val/acc", "value": 0.5, "epoch": 1}
    completed = {
        "objective": objective,
        "metrics": {"val/acc": 0.5},
        "epochs": 1,
        "checkpoint": "checkpoints/best.ckpt",
    }
    result.write_text(json.dumps({"status": "completed", **completed}))
    remove_failed_result(tmp_path)
    assert result.is_file()


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / name, weights_only=True)["state_dict"]  # type: ignore[no-any-return]


@pytest.mark.slow
def test_torchrun_restart_resumes_bitwise(tmp_path: Path) -> None:
    whole = end(start(tmp_path, *SAME, "hydra.run.dir=whole"), tmp_path, "whole")
    assert whole.code == 0, whole.screen
    killed = (f"+callbacks.die._target_={Die.__module__}.Die", "+callbacks.die.how=kill")
    process = start(tmp_path, *SAME, *killed, command=TORCHRUN)
    screen, _ = process.communicate(timeout=600)
    assert process.returncode == 0, screen
    [folder] = (tmp_path / "outputs" / "runs").iterdir()
    log = (folder / "run.log").read_text()
    assert log.count("resuming from") == 1, "torchrun started it again"
    assert [log.count(f"epoch {number}/3") for number in (1, 2, 3)] == [1, 1, 1]
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "completed"
    assert result["metrics"] == whole.result["metrics"]
    assert (folder / "metrics.csv").read_text() == (tmp_path / "whole" / "metrics.csv").read_text()
    for name in ("best.ckpt", "last.ckpt"):
        mine, theirs = weights(tmp_path / "whole", name), weights(folder, name)
        assert [key for key in mine if not torch.equal(mine[key], theirs[key])] == []
