"""Kill runs and sweeps at random moments, resume them, and compare their ends: `python scripts/kill_runs.py`.

Each plan is first run undisturbed. Then copies of it are killed with SIGKILL at random moments and resumed until they
complete, in the way of a user: by the same command, or a run by `resume=`. A copy must end as the undisturbed one did:
equal weights, optimizer and scheduler state, metrics.csv, TensorBoard points and result.json; in a sweep also equal
values and pruning decisions of every job. Prints one row per plan and exits with 1 if anything differs.
"""

import argparse
import hashlib
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainyard.run.run_directory import read_result

ROOT = Path(__file__).parents[1]
TIMEOUT = 900.0  # seconds after which a start counts as hanging
SEARCH = ("optimizer.lr=tag(log,interval(1e-3,1e-1))", "model.dropout=0.0,0.2", "sweep.trials=8")
# Every checkpoint is written at once: with the default pause a short run would always restart from its beginning.
UNPACED = "+trainer.plugins=[{_target_:trainyard.callbacks.checkpoint_files.PacedCheckpointIO,pause:0.0}]"
COMMON = (
    *("model=mlp", "model.hidden_dims=[32]", "model.dropout=0.2", "data=digits", "data.batch_size=64"),
    *("accelerator=cpu", "trainer.log_every_n_steps=1", "checkpoint.every_steps=5", UNPACED),
)
RUN = (*COMMON, "trainer.max_epochs=40")
JOB = (*COMMON, "trainer.max_epochs=9", "hydra.launcher.slots=1")


@dataclass(frozen=True)
class Plan:
    """A command to kill.

    Attributes:
        words: overrides of `train.py`.
        share: of all kills, relative to the other plans.
    """

    words: tuple[str, ...]
    share: int = 10

    @property
    def sweep(self) -> bool:
        """Whether the command is a sweep."""
        return "-m" in self.words


@dataclass
class Tally:
    """What happened to one plan."""

    kills: int = 0
    copies: int = 0
    resumed: set[str] = field(default_factory=set)
    differences: list[str] = field(default_factory=list)


def plans() -> dict[str, Plan]:
    """Return the plans by name; the schedules are those of `conf/scheduler`."""
    schedules = sorted(file.stem for file in (ROOT / "conf/scheduler").glob("*.yaml"))
    return {
        **{f"scheduler={name}": Plan((*RUN, f"scheduler={name}")) for name in schedules},
        "ema_decay=0.99": Plan((*RUN, "ema_decay=0.99")),
        "trainer.accumulate_grad_batches=3": Plan((*RUN, "trainer.accumulate_grad_batches=3")),
        "+trainer.val_check_interval=0.5": Plan((*RUN, "+trainer.val_check_interval=0.5")),
        "accelerator=ddp_cpu": Plan((*RUN, "accelerator=ddp_cpu"), 25),
        "grid": Plan(("-m", *JOB, "model.dropout=0.0,0.2", "seed=0,1", "hydra.launcher.slots=2"), 25),
        "sweep=tpe": Plan(("-m", *JOB, "sweep=tpe", "sweep.sampler.n_startup_trials=3", *SEARCH), 25),
        "sweep.pruner=hyperband": Plan(("-m", *JOB, "sweep=random", "sweep.pruner=hyperband", *SEARCH), 25),
    }


def start(plan: Plan, folder: Path, resume: bool = False) -> subprocess.Popen[bytes]:
    """Start a run or sweep in `folder`, as the leader of its own session."""
    place = "sweep.name=killed" if plan.sweep else "hydra.run.dir=outputs/run"
    words = ["resume=outputs/run"] if resume else [*plan.words, place]
    with (folder / "console.txt").open("ab") as console:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *words],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )


def living(session: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, leader = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it ended meanwhile
            continue
        if int(leader) == session and state != "Z":
            found.append(int(folder.name))
    return found


def kill(process: subprocess.Popen[bytes], only_leader: bool) -> None:
    """Kill all processes of a session; or its leader alone, whereupon the others have to end by themselves."""
    for pid in [process.pid] if only_leader else living(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()
    limit = time.monotonic() + TIMEOUT
    while living(process.pid):
        assert time.monotonic() < limit, "processes outlive the one that started them"
        time.sleep(0.05)


def runs(folder: Path) -> list[Path]:
    """Return the directories of the run, or of the jobs of the sweep, in `folder`."""
    return sorted(file.parent for file in (folder / "outputs").glob("**/config.yaml") if ".hydra" not in file.parts)


def digest(value: Any) -> Any:
    """Return nested lists and dicts with every tensor replaced by its checksum, and paths by their last part."""
    if isinstance(value, torch.Tensor):
        return hashlib.sha256(value.numpy().tobytes()).hexdigest()
    if isinstance(value, dict):
        return {Path(key).name if isinstance(key, str) else key: digest(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [digest(part) for part in value]
    return Path(value).name if isinstance(value, str) else value


def checkpoint(file: Path) -> Any:
    """Return what a checkpoint says of weights, optimizers, schedules and progress."""
    stored = torch.load(file, weights_only=True, map_location="cpu")
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step", "metrics")
    return digest({key: stored[key] for key in kept if key in stored})


def points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return steps and values of every TensorBoard scalar, without those that measure the machine."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith(("speed/", "memory/"))]
    return {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in tags}


def outcome(run: Path) -> dict[str, Any]:
    """Return all that must not depend on kills."""
    return {
        "result.json": {key: value for key, value in read_result(run).items() if key != "seconds"},
        "overrides.yaml": (run / "overrides.yaml").read_text(),
        "metrics.csv": (run / "metrics.csv").read_text(),
        "tensorboard": points(run),
        "temporary files": [file.name for file in run.rglob("*") if file.suffix in (".draft", ".removed")],
        **{file.name: checkpoint(file) for file in (run / "checkpoints").glob("*.ckpt")},
    }


def differences(one: Path, other: Path) -> list[str]:
    """Return what differs between two folders in which a plan was completed."""
    names = [[str(run.relative_to(folder / "outputs")) for run in runs(folder)] for folder in (one, other)]
    if names[0] != names[1]:
        return [f"runs {names[0]} and {names[1]}"]
    found = []
    for name in names[0]:
        expected, actual = (outcome(folder / "outputs" / name) for folder in (one, other))
        found += [f"{name}: {key}" for key in {**expected, **actual} if expected.get(key) != actual.get(key)]
    return found


def rows(folder: Path) -> int:
    """Return the number of lines that all metrics.csv in `folder` have."""
    files = [run / "metrics.csv" for run in runs(folder)]
    return sum(file.read_bytes().count(b"\n") for file in files if file.is_file())


@dataclass(frozen=True)
class Undisturbed:
    """The run or sweep that the others are compared with.

    Attributes:
        folder: in which it ran.
        seconds: from start to end.
        rows: of metrics.csv.
    """

    folder: Path
    seconds: float
    rows: int

    def await_moment(self, process: subprocess.Popen[bytes], folder: Path, draw: random.Random) -> None:
        """Wait for a random moment to kill: of one in five starts at any time, of the others during training."""
        wait = draw.uniform(0.0, self.seconds)
        if draw.random() >= 0.2:
            target = draw.randint(min(rows(folder), self.rows), self.rows)
            wait = draw.uniform(0.0, self.seconds / self.rows)
            while process.poll() is None and rows(folder) < target:
                time.sleep(0.02)
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait)


def kill_until_complete(plan: Plan, whole: Undisturbed, folder: Path, kills: int, draw: random.Random) -> int:
    """Run a plan in `folder` to its end with at most `kills` kills; return the number of kills."""
    done = 0
    while True:
        resumable = not plan.sweep and (folder / "outputs/run/config.yaml").is_file()
        process = start(plan, folder, resume=resumable and draw.random() < 0.5)
        if done < kills:
            whole.await_moment(process, folder, draw)
            if process.poll() is None:
                kill(process, only_leader=draw.random() < 0.3)
                done += 1
                continue
        finish(process, folder)
        return done


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the end of a process.

    Raises:
        AssertionError: it hangs or fails.
    """
    try:
        code = process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        kill(process, only_leader=False)
        raise AssertionError(f"hangs: {folder}") from None
    assert code == 0, f"exit code {code}: {(folder / 'console.txt').read_text()[-2000:]}"


def try_plan(name: str, plan: Plan, kills: int, folder: Path, seed: int) -> Tally:
    """Kill copies of a plan until there were `kills` kills."""
    draw, tally = random.Random(f"{seed} {name}"), Tally()
    (folder / "whole").mkdir(parents=True)
    began = time.monotonic()
    finish(start(plan, folder / "whole"), folder / "whole")
    whole = Undisturbed(folder / "whole", time.monotonic() - began, rows(folder / "whole"))
    while tally.kills < kills and tally.copies < 2 * kills:
        copy = folder / str(tally.copies)
        copy.mkdir()
        try:
            tally.kills += kill_until_complete(plan, whole, copy, min(5, kills - tally.kills), draw)
            tally.differences += [f"{copy.name}: {text}" for text in differences(whole.folder, copy)]
        except AssertionError as error:
            tally.differences.append(f"{copy.name}: {error}")
        tally.copies += 1
        for run in runs(copy):
            steps = re.findall(r"after step (\d+)", (run / "run.log").read_text())
            tally.resumed |= {f"{run.name} {step}" for step in steps}
    return tally


def main() -> int:
    """Try the plans and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("plans", nargs="*", help="names of plans; default: all")
    parser.add_argument("--kills", type=int, default=220, help="in total")
    parser.add_argument("--jobs", type=int, default=2, help="plans at a time")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="keep all runs there")
    args = parser.parse_args()
    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # a resumed run writes its graph again
    chosen = {name: plan for name, plan in plans().items() if not args.plans or name in args.plans}
    total = sum(plan.share for plan in chosen.values())
    counts = {name: -(-args.kills * plan.share // total) for name, plan in chosen.items()}
    failed = 0
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(args.jobs) as pool:
        folder = (args.folder or Path(temporary)).resolve()
        places = {name: folder / str(number) for number, name in enumerate(chosen)}
        tallies = {
            name: pool.submit(try_plan, name, plan, counts[name], places[name], args.seed)
            for name, plan in chosen.items()
        }
        print("| plan | kills | completed | resumed after different steps | differences |\n" + "| --- " * 5 + "|")
        kills = 0
        for name, future in tallies.items():
            tally = future.result()
            row = (name, tally.kills, tally.copies, len(tally.resumed), len(tally.differences) or "none")
            print("| " + " | ".join(map(str, row)) + " |", flush=True)
            print(*tally.differences, sep="\n", end="\n" * bool(tally.differences), file=sys.stderr, flush=True)
            kills, failed = kills + tally.kills, failed + len(tally.differences)
    print(f"{kills} kills, {failed} differences")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
