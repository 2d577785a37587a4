"""A run once more: the same code, config and seed, and whether the same comes out."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from trainyard.errors import listing, reject
from trainyard.files import check_path, relative
from trainyard.history.code import Code
from trainyard.history.consent import agree
from trainyard.history.data_changes import data_changes
from trainyard.history.environment import hardware_changes, package_changes
from trainyard.history.equality import differences, verdict
from trainyard.history.rerun import rerun
from trainyard.history.worktree import check_commit, checked_out, git, repository_of
from trainyard.provenance import provenance
from trainyard.stored.find_run import ROOT
from trainyard.stored.paths import use_own_caches
from trainyard.stored.run import StoredRun
from trainyard.terminal.aligned import headed

PACKAGE = Path(__file__).parents[1]
LOGGERS = ("tensorboard", "csv")  # that write files
SHOWN = 5  # untracked files that are named


def reproduce(run: StoredRun, output: Path | None = None, yes: bool = False, package: Path = PACKAGE) -> int:
    """Run a run again and compare it; the last line is the verdict.

    Args:
        run: that is completed.
        output: directory of the new run; `None` for one in outputs/reproduced.
        yes: run a patch, and what else comes with the run, without asking.
        package: whose repository has the commit.

    Returns:
        The exit code: 0 where it is bitwise equal or within tolerance, 1 where it differs.

    Raises:
        ConfigError: there is nothing to compare with, the code cannot be had, or nobody agrees to run it.
    """
    if run.status != "completed":
        raise reject("RUN", run.name, f"it is {run.status}", "a completed run: there is no end to compare with")
    if not run.own or run.unreadable:
        raise reject("RUN", run.name, "its config.yaml is missing or no YAML", "a run whose config is whole")
    folder, repository = destination(run, output), repository_of(package)
    print(f"run        {run.name}, again in {relative(folder)}")
    code = code_to_run(run, repository)
    config = config_for(run, folder)
    agree(run, code, yes, config, folder)
    now = provenance()
    threads = threads_of(run, now["hardware"])
    tell("packages", package_changes(run.provenance, now))
    tell("hardware", hardware_changes(run.provenance, now))
    tree: AbstractContextManager[Path | None] = nullcontext()
    if code and repository:
        tree = checked_out(repository, code.commit, code.patch)
    with tree as checkout:
        ended = rerun(config, checkout, directory_of(run), threads)
    return judge(run, StoredRun(folder), ended)


def code_to_run(run: StoredRun, repository: Path | None) -> Code | None:
    """Return the code that is to be checked out, and say so; `None` where the installed package is all there is.

    Raises:
        ConfigError: the run has a commit, and it is not here.
    """
    code = Code.of(run)
    if code is None:
        print("code       the package that is installed: the run was made outside of a checkout")
        return None
    if repository is None:
        problem = f"it was made from commit {code.short}, and this package lies in no checkout"
        raise reject("RUN", run.name, problem, "in a clone that has the commit")
    check_commit(repository, code.commit, run.name)
    if not git(repository, "ls-tree", code.commit, "src/trainyard"):
        print(f"code       the package that is installed: commit {code.short} has no src/trainyard")
        return None
    print(f"code       {git(repository, 'log', '-1', '--format=%h %s', code.commit).strip()}, {code.patch_text}")
    if code.untracked:
        print(f"           not restored, since git did not know them: {listing(code.untracked, SHOWN)}")
    return code


def destination(run: StoredRun, output: Path | None) -> Path:
    """Return the new run's directory, which is empty.

    Raises:
        ConfigError: it was typed, and is not.
    """
    if output is not None:
        check_path("--output", str(output))
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise reject("--output", output, "it is there already", "a directory that is empty or not there")
        return output.absolute()
    first = ROOT / "reproduced" / run.name.replace("/", "-").replace("\\", "-").strip("-.")
    numbered = (first.with_name(f"{first.name}-{number}") for number in range(2, 10_000))
    return next(folder for folder in (first, *numbered) if not folder.exists()).absolute()


def config_for(run: StoredRun, folder: Path) -> dict[str, Any]:
    """Return the run's config, resolved as it was, for a new directory: overrides could mean something else today."""
    config = run.config_in(str(folder))
    if isinstance(config.get("sweep"), dict):
        config["sweep"]["pruner"] = "none"  # there is no sweep around it
    if files := {name: part for name, part in (config.get("logger") or {}).items() if name in LOGGERS}:
        config["logger"] = files  # it is no experiment of its own, to be sent to a server
    use_own_caches(config)
    return config


def directory_of(run: StoredRun) -> Path:
    """Return the directory in which the run's relative paths hold, or the current one where that is gone."""
    directory = Path(str(run.provenance.get("directory", "")))
    if directory.is_absolute() and directory.is_dir():
        return directory
    print(f"directory  {directory} is gone: relative paths are looked up here")
    return Path.cwd()


def threads_of(run: StoredRun, hardware: dict[str, Any]) -> int:
    """Return how many threads the run had: sums come out otherwise with more; note them as those of this machine."""
    threads = int(run.provenance["hardware"].get("threads") or hardware["threads"])
    if threads != hardware["threads"]:
        print(f"threads    {threads}, as the run had; it would be {hardware['threads']} here")
        hardware["threads"] = threads
    return threads


def tell(name: str, changes: Sequence[str] | None) -> None:
    """Print what has changed since the run, below one another."""
    print("\n".join(headed(name, ["not known"] if changes is None else changes or ["the same"])))


def judge(run: StoredRun, again: StoredRun, ended: int) -> int:
    """Compare a run with what came out now, and say the verdict; return the exit code."""
    if again.status != "completed":
        print(f"differs: it ended with exit code {ended} before it was complete, as it says above")
        return 1
    tell("data", data_changes(run, again))
    if not run.checkpoint.is_file():
        tell("weights", ["not compared: the run's were not kept"])
    text, fine = verdict(differences(run, again))
    print(text)
    return 0 if fine else 1
