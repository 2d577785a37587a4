"""Checks of many jobs: which of them share a check, and what is printed meanwhile."""

import itertools
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from hydra_plugins.trainyard.launchers import LocalLauncher
from trainyard.config.composition import CONF_DIR, CONFIG_NAME
from trainyard.config.objective import Objective
from trainyard.sweeps.execution import checks
from trainyard.sweeps.execution.job_configs import JobConfigs

OBJECTIVE = Objective("val/acc", "max")
AXES = (
    ["model.hidden_dims=[8]", "model.hidden_dims=[0]"],
    ["optimizer.lr=0.1", "optimizer.lr=-1"],
    ["seed=0", "seed=1"],
)
BAD = (
    *("scheduler.warmup=2", "optimizer.betas=[0.9,2]", "optimizer.lrr=1", "+optimizer.lrr=1", "++scheduler.x=1"),
    *("model=no", "seed=-1", "seed=x", "data.val_fraction=2", "optimizer._target_=no.Such", "optimizer.lr=???"),
)
DEPENDENT = (
    *("scheduler=plateau", "data.seed=${seed}", "optimizer.lr=${optimizer.weight_decay}", "~optimizer.lr"),
    *("++trainer.gradient_clip_val=${optimizer.lr}", "optimizer=null"),
)
QUICK = ("optimizer.betas=[0.9,2]", "++trainer.gradient_clip_val=${optimizer.lr}")


class CountedExecutor:
    """Runs functions at once, and counts the calls of each by name."""

    calls: ClassVar[Counter[str]] = Counter()

    def __init__(self, *args: object, **options: object) -> None:
        self.calls.clear()

    def __enter__(self) -> "CountedExecutor":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, function: Callable[..., str], *arguments: Any) -> Future[str]:
        """Return the result, of copies of the arguments."""
        self.calls[function.__name__] += 1
        future: Future[str] = Future()
        future.set_result(function(*pickle.loads(pickle.dumps(arguments))))
        return future


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalLauncher]:
    """A launcher that composes jobs; their checks run in this process."""
    monkeypatch.setattr(checks, "ProcessPoolExecutor", CountedExecutor)
    launcher = LocalLauncher()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration(CONFIG_NAME, ["hydra.job.name=train"], run_mode=RunMode.MULTIRUN)
        launcher.compose, launcher.context = JobConfigs(loader, sweep).compose, None
        yield launcher


def number(job_overrides: Iterable[Sequence[str]]) -> list[list[str]]:
    """Return the overrides of jobs with their directories."""
    return [[*words, f"hydra.sweep.subdir={index}"] for index, words in enumerate(job_overrides)]


def check_each(launcher: LocalLauncher, job_overrides: Sequence[Sequence[str]]) -> dict[int, str]:
    """Return the problem of each job that cannot work, found without the others."""
    found = [checks.find_problems(launcher, OBJECTIVE, [words]) for words in job_overrides]
    return {index: problems[0] for index, problems in enumerate(found) if problems}


def test_a_thousand_seeds_share_a_check_and_configurations_share_those_of_their_parts(launcher: LocalLauncher) -> None:
    assert checks.find_problems(launcher, OBJECTIVE, number([f"seed={seed}"] for seed in range(1000))) == {}
    assert CountedExecutor.calls == {"find_problem": 1}
    rates = [f"optimizer.lr={lr}e-3" for lr in range(1, 6)]
    decays = [f"optimizer.weight_decay={decay}e-3" for decay in range(5)]
    sizes = [f"model.hidden_dims=[{size}]" for size in range(1, 5)]
    assert checks.find_problems(launcher, OBJECTIVE, number(itertools.product(sizes, rates, decays))) == {}
    assert CountedExecutor.calls == {"find_problem": 4, "find_steps_problem": 24}


@pytest.mark.parametrize(
    "word", [word if word in QUICK else pytest.param(word, marks=pytest.mark.slow) for word in (*BAD, *DEPENDENT)]
)
def test_each_job_has_the_problem_that_it_has_alone(launcher: LocalLauncher, word: str) -> None:
    jobs = number(itertools.product(*AXES, ["data=digits", word]))
    alone = check_each(launcher, jobs)
    assert checks.find_problems(launcher, OBJECTIVE, jobs) == alone
    assert len(alone) == 14 if word in BAD else len(alone) >= 8


def test_an_objective_that_is_not_known_since_the_first_job_cannot_work_is_not_checked(launcher: LocalLauncher) -> None:
    jobs = number([["model.dropout=1.5"], ["model.dropout=0.1"]])
    assert checks.find_problems(launcher, checks.ANY_OBJECTIVE, jobs).keys() == {0}
    assert checks.find_problems(launcher, Objective("val/loss", "min"), jobs).keys() == {0, 1}


def test_a_sweep_prints_something_before_slow_imports(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "trainyard", "-m", "seed=0,1", "sweep.name=a/b"]
    done = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    before, printed, _ = done.stdout.partition("sweep      preparing the jobs\n")
    assert printed
    imported = {line.rpartition("|")[2].strip() for line in before.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "lightning", "optuna", "pandas", "sklearn"}
