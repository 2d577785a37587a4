"""Runs a run again, with the same code, config and seed, and compares the results."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from trainyard.config.trusted_paths import check_training, use_own_caches
from trainyard.history.code_version import PACKAGE, CodeVersion, checked_out
from trainyard.history.diff import Lines, data_changes, hardware_changes, headed, package_changes
from trainyard.history.find_run import ROOT
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError, config_error, join_limited
from trainyard.io.files import check_path, relative
from trainyard.run.metrics_csv import read_curves
from trainyard.run.provenance import git, provenance
from trainyard.terminal.controls import escape_controls

FILE_LOGGERS = ("tensorboard", "csv")
TOLERANCE = 1e-3  # absolute for values up to 1, relative for larger ones
SCRIPT = """\
import sys
import torch
from omegaconf import OmegaConf
from trainyard.run.training import train

if __name__ == "__main__":
    sys.tracebacklimit = 0
    torch.set_num_threads(int(sys.argv[2]))
    train(OmegaConf.load(sys.argv[1]))
"""  # for the code of any commit


def reproduce(run: StoredRun, output: Path | None = None, yes: bool = False, package: Path = PACKAGE) -> int:
    """Run a completed run again and compare it; print the verdict, and return 1 if the runs differ, else 0.

    Args:
        run: to reproduce.
        output: directory of the new run; `None` for one in outputs/reproduced.
        yes: run a patch, and whatever else comes with the run, without asking.
        package: a folder in the repository that has the commit.

    Raises:
        ConfigError: the run has no result or config, its code is not available, or the user does not agree to run it.
    """
    if run.status != "completed":
        raise config_error("RUN", run.name, f"it is {run.status}", "a completed run, whose results can be compared")
    if not run.own or run.unreadable:
        raise config_error("RUN", run.name, "its config.yaml is missing or invalid", "a run with an intact config")
    folder = destination(run, output)
    print(f"run        {run.name}, again in {relative(folder)}")
    code = code_to_run(run, package)
    config = config_for(run, folder)
    confirm(run, code, yes, config, folder)
    now = provenance()
    threads = int(run.provenance["hardware"].get("threads") or now["hardware"]["threads"])
    now["hardware"]["threads"] = threads  # the new run uses as many: the order of sums depends on it
    report("packages", package_changes(run.provenance, now))
    report("hardware", hardware_changes(run.provenance, now))
    directory = Path(str(run.provenance.get("directory", "")))  # relative paths of the config refer to it
    if not directory.is_absolute() or not directory.is_dir():
        print(f"directory  {directory} is gone: relative paths refer to the current folder")
        directory = Path()
    with checked_out(package, code) as tree:
        exit_code = train_again(config, tree, directory, threads)
    again = StoredRun(folder)
    if again.status != "completed":
        print(f"differs: the new run ended with exit code {exit_code} before it was complete, see above")
        return 1
    report("data", data_changes(run, again))
    if not run.checkpoint.is_file():
        report("weights", ["not compared: those of the run were not kept"])
    verdict, agree = compare(run, again)
    print(verdict)
    return 0 if agree else 1


def report(name: str, changes: Lines) -> None:
    """Print what has changed since the run."""
    print("\n".join(headed(name, ["unknown"] if changes is None else changes or ["the same"])))


def destination(run: StoredRun, output: Path | None) -> Path:
    """Return the new run's directory, which is empty; raise a ConfigError if the one that was typed is not."""
    if output is not None:
        check_path("--output", str(output))
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise config_error("--output", output, "it exists already", "a directory that is empty or new")
        return output.absolute()
    first = ROOT / "reproduced" / run.name.replace("/", "-").replace("\\", "-").strip("-.")
    numbered = (first.with_name(f"{first.name}-{number}") for number in range(2, 10_000))
    return next(folder for folder in (first, *numbered) if not folder.exists()).absolute()


def code_to_run(run: StoredRun, package: Path) -> CodeVersion | None:
    """Return the code to check out, and print it; `None` if the installed package runs."""
    code = CodeVersion.of(run)
    if code is None:
        print("code       the installed package: the run was made outside of a checkout")
        return None
    try:
        git(package, "cat-file", "-e", f"{code.commit}^{{commit}}")
    except ConfigError as error:
        problem = f"its commit {code.short} is not in a repository at {package}"
        raise config_error("RUN", run.name, problem, "after `git fetch`, or in the clone where it was made") from error
    if not git(package, "ls-tree", "--full-tree", code.commit, "src/trainyard"):
        print(f"code       the installed package: commit {code.short} has no src/trainyard")
        return None
    print(f"code       {git(package, 'log', '-1', '--format=%h %s', code.commit).strip()}, {code.patch_summary}")
    if code.untracked:
        print(f"           untracked files are not restored: {join_limited(code.untracked, 5)}")
    return code


def config_for(run: StoredRun, folder: Path) -> dict[str, Any]:
    """Return the run's resolved config for a new directory, without its sweep and its loggers on servers."""
    config = run.config_in(str(folder))
    if isinstance(config.get("sweep"), dict):
        config["sweep"]["pruner"] = "none"
    if files := {name: part for name, part in (config.get("logger") or {}).items() if name in FILE_LOGGERS}:
        config["logger"] = files
    use_own_caches(config)
    return config


def confirm(run: StoredRun, code: CodeVersion | None, yes: bool, config: Mapping[str, Any], folder: Path) -> None:
    """Ask before code runs that comes with the run; raise a ConfigError if the user does not agree.

    That is a patch, or what the config builds or writes beyond what a stored config may.
    """
    reasons = [code.patch_summary] if code and code.patch else []
    try:
        check_training(dict(config), folder)
    except ConfigError as error:
        reasons.append(str(error).splitlines()[0])
    if not reasons or yes:
        return
    question = escape_controls(f"this would run code from its directory: {' and '.join(reasons)}", keep="")
    if not sys.stdin.isatty() or input(f"{question}: run it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise config_error("RUN", run.name, question, "--yes, after reading its provenance.json and config.yaml")


def train_again(config: Mapping[str, Any], code: Path | None, directory: Path, threads: int) -> int:
    """Train a resolved config in a new process with the code of a checkout, and return its exit code."""
    with TemporaryDirectory(prefix="trainyard-") as temporary:
        script, file = Path(temporary) / "rerun.py", Path(temporary) / "config.yaml"
        script.write_text(SCRIPT, encoding="utf-8")
        file.write_text(OmegaConf.to_yaml(OmegaConf.create(dict(config))), encoding="utf-8")
        own = [str(Path(folder).absolute()) for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
        path = os.pathsep.join([*([str(code / "src"), str(code)] if code else []), *own])
        sys.stdout.flush()
        command = [sys.executable, str(script), str(file), str(threads)]
        process = subprocess.Popen(command, cwd=directory, env={**os.environ, "PYTHONPATH": path})
        try:
            return process.wait()
        finally:
            process.terminate()  # if this process was interrupted; the run then saves a checkpoint
            process.wait()


def compare(one: StoredRun, other: StoredRun) -> tuple[str, bool]:
    """Compare metrics, curves and weights bit by bit; return the verdict, and whether they agree within tolerance."""
    weights = one.checkpoint.is_file() and other.checkpoint.is_file()
    ours, theirs = results_of(one, weights), results_of(other, weights)
    gaps = {name: gap(ours.get(name), theirs.get(name)) for name in {**ours, **theirs}}
    differing = {name: size for name, size in gaps.items() if size is not None}
    if not differing:
        return "bitwise equal", True
    name = max(differing, key=lambda name: differing[name])
    if differing[name] <= TOLERANCE:
        return f"within tolerance (largest difference {differing[name]:.1e} in {name})", True
    return f"differs: {len(differing)} of {len(gaps)} values, the largest by {differing[name]:.1e} in {name}", False


def results_of(run: StoredRun, weights: bool) -> dict[str, Tensor]:
    """Return all values that a run computed, by name; with weights, those of the best checkpoint and its optimizer."""
    numbers: dict[str, float] = dict(run.metrics)
    for name, curve in read_curves(run.folder).items():
        numbers |= {f"{name} at step {step}": value for step, value in curve.items()}
    results = {name: torch.tensor(float(value), dtype=torch.float64) for name, value in numbers.items()}
    best = (run.result.get("objective") or {}).get("epoch", 0)
    results |= {"epochs": torch.tensor(run.result.get("epochs", 0)), "the best epoch": torch.tensor(best)}
    if weights:
        checkpoint = torch.load(run.checkpoint, map_location="cpu", weights_only=True, mmap=True)
        for part in ("state_dict", "optimizer_states"):
            results |= dict(tensors(checkpoint.get(part), part))
    return results


def tensors(node: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor in nested dicts and lists, with its path."""
    if isinstance(node, Tensor):
        yield path, node
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    for name, part in parts:
        yield from tensors(part, f"{path}.{name}")


def gap(one: Tensor | None, other: Tensor | None) -> float | None:
    """Return the largest difference of two tensors, relative to values over 1; `None` if they are bitwise equal.

    It is infinite for integers, NaN, other shapes or types, and missing tensors.
    """
    if one is None or other is None or (one.shape, one.dtype) != (other.shape, other.dtype):
        return math.inf
    left, right = (tensor.contiguous().flatten().view(torch.uint8) for tensor in (one, other))
    if torch.equal(left, right):
        return None
    if not one.is_floating_point():
        return math.inf
    return float(((one.double() - other.double()).abs() / one.double().abs().clamp(min=1)).nan_to_num(math.inf).max())
