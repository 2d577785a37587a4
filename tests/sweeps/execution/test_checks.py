"""Checks of many jobs: which of them share a check, and what is printed meanwhile."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from trainyard.config.composition import CONF_DIR, CONFIG_NAME
from trainyard.sweeps.execution.checks import without_seed
from trainyard.sweeps.execution.job_configs import JobConfigs

Digest = Callable[..., bytes | None]


@pytest.fixture
def digest() -> Iterator[Digest]:
    """A function that returns the digest of a job."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration(CONFIG_NAME, ["hydra.job.name=train"], run_mode=RunMode.MULTIRUN)
        configs = JobConfigs(loader, sweep)
        numbers = iter(range(100))
        yield lambda *words: without_seed(configs.compose([*words, f"hydra.sweep.subdir={next(numbers)}"]))


def test_jobs_that_differ_only_in_the_seed_are_checked_once(digest: Digest) -> None:
    first = digest("seed=0", "optimizer.lr=0.1")
    assert first is not None
    assert digest("seed=17", "optimizer.lr=0.1") == first
    different = [
        digest("seed=0", "optimizer.lr=0.2"),
        digest("seed=0", "optimizer.lr=0.1", "model=cnn"),
        digest("seed=0", "optimizer.lr=0.1", "data.seed=3"),
        digest("seed=0", "++optimizer.lr=0.1"),
        digest("seed=0", "optimizer.lr=0.1", "~callbacks.finite_loss"),
    ]
    assert None not in different
    assert len({first, *different}) == 6


@pytest.mark.parametrize(
    "words",
    [
        ("seed=-1",),
        ("seed=x",),
        ("seed='1'",),
        ("seed=1.5",),
        ("seed=5000000000",),
        ("seed=${oc.env:HOME}",),
        ("~seed",),
        ("seed=1", "data.seed=${seed}"),
        ("seed=1", "data.seed=${oc.select:seed}"),
        ("seed=1", "+callbacks.a={x: ['${..seed}']}"),
        ("seed=1", "+data.root=a_${hydra:job.num}"),
        ("seed=1", "+data.root=a_${hydra.sweep.subdir}"),
    ],
)
def test_no_check_is_shared_if_the_seed_is_invalid_or_changes_other_values(
    digest: Digest, words: tuple[str, ...]
) -> None:
    assert digest(*words) is None


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
