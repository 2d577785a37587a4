"""A log file is removed while a run trains: the run continues."""

import json
from pathlib import Path

import pytest

from tests.conftest import Compose
from tests.faults.happenings import SMALL
from trainyard.run.training import train


@pytest.mark.parametrize("what", ["metrics.csv", "run.log"])
def test_training_continues_without_its_log(what: str, compose_run: Compose, tmp_path: Path) -> None:
    gone = f"+callbacks.gone={{_target_:tests.faults.happenings.Removed,path:{tmp_path / 'run' / what}}}"
    score = train(compose_run(*SMALL, "trainer.max_epochs=3", gone)).objective
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["epochs"], result["objective"]["value"]) == ("completed", 3, score)
    assert {file.name for file in (tmp_path / "run" / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
