"""Kill runs and sweeps at random times, resume them, and compare the results: `python scripts/kill_runs.py`.

Each plan first runs without interruption: this is the reference. Copies of it are killed with SIGKILL at random times
and resumed until they complete, by the same command, or single runs also by `resume=`. Each copy must give the results
of the reference: weights, optimizer and scheduler state, metrics.csv, TensorBoard points and result.json; in a sweep
also the values and pruning decisions of every job. Prints a row per plan and exits with 1 if anything differs.
"""

import argparse
import logging
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from run_differences import find_differences, run_directories

ROOT = Path(__file__).parents[1]
TIMEOUT = 900.0  # seconds after which a process counts as hanging
KILLS_PER_COPY = 5  # at most
SEARCH = ("optimizer.lr=tag(log,interval(1e-3,1e-1))", "model.dropout=0.0,0.2", "sweep.trials=8")
# Writes every checkpoint immediately: with the default pause, a short run would always restart from its beginning.
NO_PAUSE = "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]"
COMMON = (
    *("model=mlp", "model.hidden_dims=[32]", "model.dropout=0.2", "data=digits", "data.batch_size=64"),
    *("accelerator=cpu", "trainer.log_every_n_steps=1", "checkpoint.every_steps=5", NO_PAUSE),
)
RUN = (*COMMON, "trainer.max_epochs=40")
JOB = (*COMMON, "trainer.max_epochs=9", "hydra.launcher.slots=1")


@dataclass(frozen=True)
class Plan:
    """Overrides of a run or, with `-m`, of a sweep, and its share of all kills."""

    overrides: tuple[str, ...]
    share: int = 10

    @property
    def is_sweep(self) -> bool:
        """Whether the command is a sweep."""
        return "-m" in self.overrides


@dataclass(frozen=True)
class Reference:
    """A completed run or sweep without interruption: its folder, seconds, and number of rows in metrics.csv."""

    folder: Path
    seconds: float
    rows: int


@dataclass
class PlanResult:
    """Counts and differences of one plan."""

    kills: int = 0
    copies: int = 0
    resume_steps: set[str] = field(default_factory=set)
    differences: list[str] = field(default_factory=list)


def all_plans() -> dict[str, Plan]:
    """Return the plans by name, one for each schedule in `conf/scheduler` among them."""
    schedules = sorted(file.stem for file in (ROOT / "conf/scheduler").glob("*.yaml"))
    options = [f"scheduler={name}" for name in schedules]
    options += ["ema_decay=0.99", "trainer.accumulate_grad_batches=3", "+trainer.val_check_interval=0.5"]
    return {
        **{option: Plan((*RUN, option)) for option in options},
        "accelerator=ddp_cpu": Plan((*RUN, "accelerator=ddp_cpu"), 25),
        "grid": Plan(("-m", *JOB, "model.dropout=0.0,0.2", "seed=0,1", "hydra.launcher.slots=2"), 25),
        "sweep=tpe": Plan(("-m", *JOB, "sweep=tpe", "sweep.sampler.n_startup_trials=3", *SEARCH), 25),
        "sweep.pruner=hyperband": Plan(("-m", *JOB, "sweep=random", "sweep.pruner=hyperband", *SEARCH), 25),
    }


def start(plan: Plan, folder: Path, resume: bool = False) -> subprocess.Popen[bytes]:
    """Start a run or sweep in `folder`, as the leader of its own session."""
    directory = "sweep.name=killed" if plan.is_sweep else "hydra.run.dir=outputs/run"
    overrides = ["resume=outputs/run"] if resume else [*plan.overrides, directory]
    with (folder / "console.txt").open("ab") as console:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *overrides],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )


def session_processes(session: int) -> list[psutil.Process]:
    """Return the running processes of a session."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):  # it has ended
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill(process: subprocess.Popen[bytes], only_leader: bool) -> None:
    """Kill the processes of a session, or only its leader: then the others must end by themselves."""
    for target in [psutil.Process(process.pid)] if only_leader else session_processes(process.pid):
        with suppress(psutil.NoSuchProcess):
            target.kill()
    process.wait()
    deadline = time.monotonic() + TIMEOUT
    while session_processes(process.pid):
        assert time.monotonic() < deadline, "child processes are still running"
        time.sleep(0.05)


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until a process ends; raise an AssertionError if it hangs or fails."""
    try:
        code = process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        kill(process, only_leader=False)
        raise AssertionError(f"hangs: {folder}") from None
    assert code == 0, f"exit code {code}: {(folder / 'console.txt').read_text()[-2000:]}"


def count_rows(folder: Path) -> int:
    """Return the number of lines of all metrics.csv in `folder`."""
    files = [run / "metrics.csv" for run in run_directories(folder)]
    return sum(file.read_bytes().count(b"\n") for file in files if file.is_file())


def run_reference(plan: Plan, folder: Path) -> Reference:
    """Run a plan without interruption."""
    folder.mkdir(parents=True)
    began = time.monotonic()
    finish(start(plan, folder), folder)
    return Reference(folder, time.monotonic() - began, count_rows(folder))


def wait_random_time(process: subprocess.Popen[bytes], folder: Path, reference: Reference, rng: random.Random) -> None:
    """Wait for a random time to kill: for one in five processes at any time, for the others during training."""
    delay = rng.uniform(0.0, reference.seconds)
    if rng.random() >= 0.2:
        target = rng.randint(min(count_rows(folder), reference.rows), reference.rows)
        delay = rng.uniform(0.0, reference.seconds / reference.rows)
        while process.poll() is None and count_rows(folder) < target:
            time.sleep(0.02)
    with suppress(subprocess.TimeoutExpired):
        process.wait(delay)


def kill_until_complete(plan: Plan, reference: Reference, folder: Path, limit: int, rng: random.Random) -> int:
    """Run a plan in `folder` to its end with at most `limit` kills; return the number of kills."""
    kills = 0
    while True:
        resumable = not plan.is_sweep and (folder / "outputs/run/config.yaml").is_file()
        process = start(plan, folder, resume=resumable and rng.random() < 0.5)
        if kills < limit:
            wait_random_time(process, folder, reference, rng)
            if process.poll() is None:
                kill(process, only_leader=rng.random() < 0.3)
                kills += 1
                continue
        finish(process, folder)
        return kills


def run_plan(name: str, plan: Plan, kills: int, folder: Path, seed: int) -> PlanResult:
    """Kill copies of a plan until the number of kills is reached."""
    rng, result = random.Random(f"{seed} {name}"), PlanResult()
    reference = run_reference(plan, folder / "reference")
    while result.kills < kills and result.copies < 2 * kills:
        copy = folder / str(result.copies)
        copy.mkdir()
        try:
            limit = min(KILLS_PER_COPY, kills - result.kills)
            result.kills += kill_until_complete(plan, reference, copy, limit, rng)
            result.differences += [f"{copy.name}: {text}" for text in find_differences(reference.folder, copy)]
        except AssertionError as error:
            result.differences.append(f"{copy.name}: {error}")
        result.copies += 1
        for run in run_directories(copy):
            steps = re.findall(r"after step (\d+)", (run / "run.log").read_text())
            result.resume_steps |= {f"{run.name} {step}" for step in steps}
    return result


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("plans", nargs="*", help="names of plans; default: all")
    parser.add_argument("--kills", type=int, default=220, help="total number of kills")
    parser.add_argument("--jobs", type=int, default=2, help="number of plans to run at the same time")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random times")
    parser.add_argument("--folder", type=Path, help="folder in which all runs are kept")
    return parser.parse_args()


def main() -> int:
    """Test the plans and print a table."""
    args = parse_arguments()
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # a resumed run writes its graph again
    plans = {name: plan for name, plan in all_plans().items() if not args.plans or name in args.plans}
    shares = sum(plan.share for plan in plans.values())
    kills = differences = 0
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(args.jobs) as pool:
        folder = (args.folder or Path(temporary)).resolve()
        futures = {}
        for number, (name, plan) in enumerate(plans.items()):
            count = -(-args.kills * plan.share // shares)
            futures[name] = pool.submit(run_plan, name, plan, count, folder / str(number), args.seed)
        print("| plan | kills | completed | resumed after different steps | differences |\n" + "| --- " * 5 + "|")
        for name, future in futures.items():
            result = future.result()
            row = (name, result.kills, result.copies, len(result.resume_steps), len(result.differences) or "none")
            print("| " + " | ".join(map(str, row)) + " |", flush=True)
            print(*result.differences, sep="\n", end="\n" * bool(result.differences), file=sys.stderr, flush=True)
            kills, differences = kills + result.kills, differences + len(result.differences)
    print(f"{kills} kills, {differences} differences")
    return int(differences > 0)


if __name__ == "__main__":
    sys.exit(main())
