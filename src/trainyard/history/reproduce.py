"""Runs a run again, with the same code, config and seed, and compares the results."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from trainyard.config.composition import walk
from trainyard.config.config_folders import added
from trainyard.config.target_packages import user_packages
from trainyard.config.trusted_paths import check_training
from trainyard.history import diff
from trainyard.history.find_run import ROOT
from trainyard.history.stored_config import config_to_reproduce, with_present_names
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError, config_error, join_limited
from trainyard.io.files import check_path, relative
from trainyard.run.metrics_csv import read_curves
from trainyard.run.provenance import collect_provenance, digest_code, run_git
from trainyard.run.threads import VARIABLES
from trainyard.terminal.controls import escape_controls

TOLERANCE = 1e-3  # absolute for values up to 1, relative for larger ones
SCRIPT = """\
import sys
from omegaconf import OmegaConf
from trainyard.run.training import train

if __name__ == "__main__":
    sys.tracebacklimit = 0
    train(OmegaConf.load(sys.argv[1]))
"""  # works with the code of any commit


def reproduce(run: StoredRun, output: Path | None = None, yes: bool = False, package: Path = diff.PACKAGE) -> int:
    """Run a completed run again and compare it; print the verdict, and return 1 if the runs differ, else 0.

    The new run is in `output`, by default in outputs/reproduced. With `yes`, code that comes with the run is executed
    without asking. `package` is a folder in the repository that has the commit.
    """
    if run.status != "completed" or not run.run_config or run.invalid_keys:
        problem = f"is {run.status}" if run.status != "completed" else "its config.yaml is missing or invalid"
        raise config_error("RUN", run.name, problem, "a completed run with an intact config")
    folder = choose_directory(run, output)
    print(f"run        {run.name}, again in {relative(folder)}")
    code = find_code(run, package)
    config = config_to_reproduce(run, folder)
    config = config if code else with_present_names(config)
    own_code = {name: run.user_code[name] for name in user_packages(config) if name in run.user_code}
    for line in describe_changes(own_code, package, code):
        print(escape_controls(f"own code   {line}", keep=""))
    confirm(run, code, yes, config, folder)
    now = collect_provenance()
    threads = int(run.provenance["hardware"].get("threads") or now["hardware"]["threads"])
    now["hardware"]["threads"] = threads  # the new run uses as many: the order of sums depends on it
    print(diff.format_section("packages", diff.compare_packages(run.provenance, now)))
    print(diff.format_section("hardware", diff.compare_hardware(run.provenance, now)))
    directory = Path(str(run.provenance.get("directory", "")))  # relative paths in the config refer to it
    if not directory.is_dir():
        print(f"directory  {directory} does not exist: relative paths refer to the current folder")
        directory = Path()
    with checked_out(package, code) if code else nullcontext() as tree:
        folders = [str(Path(state["path"]).parent) for state in own_code.values()]
        exit_code = train_again(config, tree, directory, threads, folders)
    again = StoredRun(folder)
    if again.status != "completed":
        print(f"differs: the new run ended with exit code {exit_code} before it was complete, see above")
        return 1
    print(diff.format_section("data", diff.compare_data(run, again)))
    if not run.checkpoint.is_file():
        print("weights    not compared: the run has no checkpoint")
    verdict, agree = compare(run, again)
    print(verdict)
    return 0 if agree else 1


def choose_directory(run: StoredRun, output: Path | None) -> Path:
    """Return an empty directory for the new run; raise a ConfigError if `output` is not empty."""
    if output is not None:
        check_path("--output", str(output))
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise config_error("--output", output, "already exists", "a directory that is empty or new")
        return output.absolute()
    name = re.sub(r"[/\\]", "-", run.name).strip("-.")
    names = (name, *(f"{name}-{number}" for number in range(2, 10_000)))
    return next(ROOT / "reproduced" / name for name in names if not (ROOT / "reproduced" / name).exists()).absolute()


def find_code(run: StoredRun, package: Path) -> diff.CodeVersion | None:
    """Return the code to check out, and print it; `None` to use the installed package."""
    code = diff.CodeVersion.of(run)
    reason = "the run was made outside of a checkout"
    if code:
        try:
            has_package = run_git(package, "ls-tree", "--full-tree", code.commit, "src/trainyard")
        except ConfigError as error:
            problem = f"its commit {code.short} is not in a repository at {package}"
            accepted = "after `git fetch`, or in the clone where it was made"
            raise config_error("RUN", run.name, problem, accepted) from error
        if has_package:
            commit = run_git(package, "log", "-1", "--format=%h %s", code.commit).strip()
            lost = f"\n           untracked files are not restored: {join_limited(code.untracked, 5)}"
            print(f"code       {commit}, {code.patch_summary}{lost if code.untracked else ''}")
            return code
        reason = f"commit {code.short} has no src/trainyard"
    print(f"code       the installed package: {reason}")
    return None


def describe_changes(
    own_code: Mapping[str, Mapping[str, Any]], package: Path, code: diff.CodeVersion | None
) -> list[str]:
    """Return a line for each of the user's packages whose files are not those of the run.

    A package in the repository of `code` is checked out with it.
    """
    lines = []
    for name, state in own_code.items():
        path = Path(state["path"])
        was = diff.describe_user_code(state)
        if code and is_committed(path, package, code):
            continue
        if not path.exists():
            lines.append(
                f"{name}: {path} does not exist ({was}); PYTHONPATH=FOLDER before the command finds it elsewhere"
            )
        elif digest_code(path) != state["digest"]:
            lines.append(f"{name} in {relative(path)} has changed since the run ({was}); its current files are used")
    return lines


def is_committed(path: Path, package: Path, code: diff.CodeVersion) -> bool:
    """Return whether a folder or file is part of a commit in the repository of `package`."""
    top = Path(run_git(package, "rev-parse", "--show-toplevel").strip())
    inside = path.is_relative_to(top)
    return inside and bool(run_git(package, "ls-tree", "--full-tree", code.commit, path.relative_to(top).as_posix()))


@contextmanager
def checked_out(repository: Path, code: diff.CodeVersion) -> Iterator[Path]:
    """Yield a temporary worktree with a commit and its patch; the repository's files, index and HEAD do not change."""
    with TemporaryDirectory(prefix="trainyard-", ignore_cleanup_errors=True) as temporary:
        tree = Path(temporary) / "code"
        try:
            run_git(repository, "worktree", "add", "--detach", str(tree), code.commit)
            if code.patch:
                run_git(tree, "apply", "--binary", "--whitespace=nowarn", "-", stdin=code.patch)
            yield tree
        finally:
            try:
                run_git(repository, "worktree", "remove", "--force", "--force", str(tree))
            except ConfigError:  # it is incomplete
                run_git(repository, "worktree", "prune")


def confirm(run: StoredRun, code: diff.CodeVersion | None, yes: bool, config: Mapping[str, Any], folder: Path) -> None:
    """Ask before code of the run is executed: a patch, or anything that a stored config must not build or write."""
    reasons = [code.patch_summary] if code and code.patch else []
    try:
        check_training(with_present_names(dict(config)), folder)
    except ConfigError as error:
        reasons.append(str(error).splitlines()[0])
    if not reasons or yes:
        return
    question = escape_controls(f"this would run code from its directory: {' and '.join(reasons)}", keep="")
    if not sys.stdin.isatty() or input(f"{question}: run it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise config_error("RUN", run.name, question, "--yes, after reading its provenance.json and config.yaml")


def train_again(
    config: Mapping[str, Any], code: Path | None, directory: Path, threads: int, folders: Sequence[str] = ()
) -> int:
    """Train a config in a new process with the code of a checkout, and return its exit code.

    The import path ends with `folders`, of the user's own packages.
    """
    with TemporaryDirectory(prefix="trainyard-") as temporary:
        script, file = Path(temporary) / "rerun.py", Path(temporary) / "config.yaml"
        script.write_text(SCRIPT, encoding="utf-8")
        file.write_text(OmegaConf.to_yaml(OmegaConf.create(dict(config))), encoding="utf-8")
        own = [str(Path(folder).absolute()) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
        own += [str(folder.parent) for folder in added]  # the project of --config-dir
        path = os.pathsep.join([*([str(code / "src"), str(code)] if code else []), *own, *folders])
        sys.stdout.flush()
        environment = {**os.environ, **dict.fromkeys(VARIABLES, str(threads)), "PYTHONPATH": path}
        process = subprocess.Popen([sys.executable, str(script), str(file)], cwd=directory, env=environment)
        try:
            return process.wait()
        finally:
            process.terminate()  # if this process was interrupted; the run then saves a checkpoint
            process.wait()


def compare(one: StoredRun, other: StoredRun) -> tuple[str, bool]:
    """Compare metrics, curves and weights bit by bit; return the verdict, and whether they agree within tolerance."""
    weights = one.checkpoint.is_file() and other.checkpoint.is_file()
    left, right = collect_results(one, weights), collect_results(other, weights)
    gaps = {name: largest_difference(left.get(name), right.get(name)) for name in {**left, **right}}
    differing = {name: size for name, size in gaps.items() if size is not None}
    if not differing:
        return "bitwise equal", True
    name = max(differing, key=lambda name: differing[name])
    if differing[name] <= TOLERANCE:
        return f"within tolerance (largest difference {differing[name]:.1e} in {name})", True
    return f"differs: {len(differing)} of {len(gaps)} values, the largest by {differing[name]:.1e} in {name}", False


def collect_results(run: StoredRun, weights: bool) -> dict[str, Tensor]:
    """Return all values that a run computed, by name; with `weights`, also the tensors of the best checkpoint."""
    numbers: dict[str, float] = dict(run.metrics)
    for name, curve in read_curves(run.folder).items():
        numbers |= {f"{name} at step {step}": value for step, value in curve.items()}
    results = {name: torch.tensor(float(value), dtype=torch.float64) for name, value in numbers.items()}
    epochs = {"epochs": run.result["epochs"], "the best epoch": run.result["objective"]["epoch"]}
    results |= {name: torch.tensor(number) for name, number in epochs.items()}
    if weights:
        checkpoint = torch.load(run.checkpoint, map_location="cpu", weights_only=True, mmap=True)
        states = {name: checkpoint[name] for name in ("state_dict", "optimizer_states")}
        results |= {name: value for name, value in walk(states) if isinstance(value, Tensor)}
    return results


def largest_difference(one: Tensor | None, other: Tensor | None) -> float | None:
    """Return the largest difference, relative to values over 1, or infinity; `None` if all bits are equal."""
    if one is None or other is None or (one.shape, one.dtype) != (other.shape, other.dtype):
        return math.inf
    left, right = (tensor.contiguous().flatten().view(torch.uint8) for tensor in (one, other))
    if torch.equal(left, right):
        return None
    differences = (one.double() - other.double()).abs() / one.double().abs().clamp(min=1)
    return float(differences.nan_to_num(math.inf).max()) if one.is_floating_point() else math.inf
