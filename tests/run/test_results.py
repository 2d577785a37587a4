"""What `train` and `sweep` return to a Python program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import Compose
from tests.sweeps.sweeping import TINY
from trainyard import RunResult, SweepResult, compose, sweep, train
from trainyard.io.errors import ConfigError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("results") / "run"
    return train(compose([*TINY, "data=penguins", "trainer.max_epochs=3", "logger=csv", f"hydra.run.dir={folder}"]))


def test_result_contains_status_and_metrics(run: RunResult) -> None:
    stored = json.loads((run.folder / "result.json").read_text())
    assert (run.status, run.metrics) == ("completed", stored["metrics"])
    assert run.objective == stored["objective"]["value"] == run.metrics["val/acc"]
    assert RunResult.read(run.folder) == run


def test_curves_are_indexed_by_step(run: RunResult) -> None:
    losses = run.curves["val/loss"].dropna()
    steps = len(losses) and losses.index[0] + 1
    assert list(losses.index) == [steps - 1, 2 * steps - 1, 3 * steps - 1]
    best = json.loads((run.folder / "result.json").read_text())["objective"]["epoch"]
    assert run.metrics["val/loss"] == losses.iloc[best - 1]


def test_load_model_returns_the_best_weights(run: RunResult) -> None:
    model = run.load_model()
    assert not model.training
    stored = torch.load(run.folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())


def test_interrupted_run_has_no_objective(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"status": "interrupted", "seconds": 1.0, "error": null}')
    assert RunResult.read(tmp_path) == RunResult(tmp_path, "interrupted", {}, None)


def test_curves_need_a_metrics_table(compose_run: Compose) -> None:
    result = train(compose_run(*TINY, "data=penguins", "logger=tensorboard"))
    with pytest.raises(OSError, match=r"metrics\.csv"):
        result.curves  # noqa: B018


def test_sweep_returns_its_jobs_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*TINY, "data=penguins", "logger=csv", "model.hidden_dims=[4],[8]", "seed=0,1", "sweep.name=mine"]
    result = sweep(words)
    assert "sweep      outputs/sweeps/mine: 4 jobs, 4 to do" in capsys.readouterr().out
    assert result.folder == Path("outputs/sweeps/mine")
    assert list(result.jobs) == [0, 1, 2, 3]
    assert [str(rank)[0] for rank in result.leaderboard["rank"]] == ["1", "2"]
    scores = [result.jobs[number].objective or 0 for number in range(4)]
    configurations = [scores[:2], scores[2:]]
    assert result.best.objective == max(max(configurations, key=sum))
    assert not result.best.load_model().training
    again = sweep(words)
    assert "4 jobs, 0 to do" in capsys.readouterr().out
    assert again.jobs == result.jobs


def test_rejected_sweep_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="did you mean mlp"):
        sweep(["model=mlpp,cnn"])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_sweep_without_completed_jobs_has_no_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = sweep([*TINY, "data=penguins", "optimizer=sgd", "optimizer.lr=1e30", "seed=0,1"])
    assert {job.status for job in result.jobs.values()} == {"failed"}
    assert isinstance(result, SweepResult)
    with pytest.raises(LookupError, match="no job of"):
        result.best  # noqa: B018


def test_importing_trainyard_imports_no_torch() -> None:
    code = "import sys, trainyard; trainyard.compose; print({'torch', 'lightning', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    import trainyard

    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        trainyard.trane  # noqa: B018
