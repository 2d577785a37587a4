"""`trainyard runs`: its subcommands, exit codes and errors."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.history.checkout import REPOSITORY, Checkout
from tests.history.recorded import record
from tests.sweeps.sweeping import TINY, until


@pytest.fixture
def runs_command(run_command):
    """Run `trainyard runs` in a folder with two runs; return exit code, stdout and stderr."""
    record(Path("outputs/runs/one"), 0.9)
    record(Path("outputs/runs/two"), 0.8, {"model": "cnn"}, provenance={"started": "2026-02-02T00:00:00+00:00"})
    return partial(run_command, "runs")


def test_lists_by_conditions_and_options_in_any_order(runs_command) -> None:
    code, screen, errors = runs_command("list", "model=*", "--sort", "-val/acc", "status=completed", "--last", "5")
    assert (code, errors) == (0, "")
    assert [row.split()[0] for row in screen.splitlines()] == ["run", "two", "one", "2"]
    code, screen, _ = runs_command("list", "--csv", "val/acc>0.85")
    assert (code, len(screen.splitlines())) == (0, 2)


def test_compares_two_runs(runs_command) -> None:
    code, screen, errors = runs_command("diff", "one", "two")
    assert (code, errors) == (0, "")
    assert screen.splitlines()[2].startswith("val/acc 0.9000 and 0.8000: A is better by 0.1000")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list", "modle=cnn"], 1, "did you mean model?"),
        (["list", "--sort", "nothing"], 1, "KEY=nothing"),
        (["diff", "one", "three"], 1, "RUN=three: unknown run"),
        (["reproduce", "onn"], 1, "did you mean one?"),
        (["reproduce", "one"], 1, "its commit aaaaaaaaaa is not in a repository at"),
        (["list", "--last", "0"], 2, "0 is not a whole number from 1"),
        (["list", "--sort"], 2, "expected one argument"),
        (["list", "--nope"], 2, "unrecognized arguments: --nope"),
        (["diff", "one", "two", "three"], 2, "unrecognized arguments: three"),
        ([], 2, "a command is required\n  accepted: list, diff, reproduce"),
    ],
)
def test_bad_input_is_named_in_a_few_lines(runs_command, words: list[str], code: int, said: str) -> None:
    ended, _, errors = runs_command(*words)
    assert ended == code
    assert said in errors
    assert len(errors.splitlines()) <= 4
    assert "Traceback" not in errors


def test_listing_and_comparing_need_no_torch() -> None:
    imports = "import sys, trainyard.history.diff, trainyard.history.run_table"
    code = f"{imports}; print({{'torch', 'matplotlib'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_run_and_job_are_reproduced_and_other_code_differs(tmp_path: Path) -> None:
    checkout = Checkout.make(tmp_path / "project", whole=True)
    environment = {**os.environ, "PYTHONPATH": str(checkout.folder / "src"), "OMP_NUM_THREADS": "1"}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    assert call("-m", "trainyard", *TINY).returncode == 0
    assert call("-m", "trainyard", "-m", *TINY, "seed=1,2", "sweep.name=S", "sweep.pruner=median").returncode == 0
    [folder] = (tmp_path / "outputs" / "runs").iterdir()
    for name in (folder.name, "S/1"):
        done = call("-m", "trainyard", "runs", "reproduce", name)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "bitwise equal"), done.stderr
    stored = json.loads((folder / "provenance.json").read_text())
    checkout.edit("src/trainyard/run/training.py", "L.seed_everything(cfg.seed", "L.seed_everything(cfg.seed + 1")
    stored["git"]["commit"] = checkout.commit("another seed")
    (folder / "provenance.json").write_text(json.dumps(stored))
    done = call("-m", "trainyard", "runs", "reproduce", folder.name)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("differs: ")
    assert checkout.git("worktree", "list").count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_reproduction_removes_the_worktree(tmp_path: Path, how: signal.Signals) -> None:
    checkout = Checkout.make(tmp_path / "project", whole=True)
    environment = {**os.environ, "PYTHONPATH": str(checkout.folder / "src"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "trainyard", *TINY, "trainer.max_epochs=2"]
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)
    [folder] = (tmp_path / "outputs" / "runs").iterdir()
    config = (folder / "config.yaml").read_text().replace("max_epochs: 2", "max_epochs: 100000")
    (folder / "config.yaml").write_text(config)
    words = [sys.executable, "-m", "trainyard", "runs", "reproduce", "latest"]
    process = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("epoch 3/"):
            break
    assert checkout.git("worktree", "list").count("\n") == 2
    process.send_signal(how)
    process.communicate(timeout=300)
    assert process.returncode == 128 + how
    assert checkout.git("worktree", "list").count("\n") == 1
    result = tmp_path / "outputs" / "reproduced" / folder.name / "result.json"
    until(result.is_file)
    assert json.loads(result.read_text())["status"] == "interrupted", "the child has ended too"
