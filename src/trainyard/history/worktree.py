"""The files of a commit, in a folder of their own."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from trainyard.errors import ConfigError, reject

NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}", "-c", "submodule.recurse=false")


def git(folder: Path, *arguments: str, given: str = "") -> str:
    """Return what a git command prints.

    Raises:
        ConfigError: it fails, with the first lines of its complaint, or there is no git.
    """
    elsewhere = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # set by hooks
    command = ["git", "-C", str(folder), *NO_HOOKS, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, input=given.encode(), env=elsewhere, check=False)
    except OSError as error:
        raise ConfigError(f"git: cannot be run ({error.strerror})") from error
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip().splitlines()[:3]
        raise ConfigError("\n  ".join([f"git {arguments[0]} failed", *complaint]))
    return done.stdout.decode(errors="replace")


def repository_of(folder: Path) -> Path | None:
    """Return the top of the checkout that a folder lies in."""
    try:
        return Path(git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
    except ConfigError:
        return None


def patched_files(patch: str) -> list[str]:
    """Return the files that a patch changes.

    Raises:
        ConfigError: it is no patch.
    """
    if not patch:
        return []
    return [line.split("\t", 2)[2] for line in git(Path(), "apply", "--numstat", "-", given=patch).splitlines()]


@contextmanager
def checked_out(repository: Path, commit: str, patch: str) -> Iterator[Path]:
    """Give a folder with the files of a commit and a patch on top; it goes at the end, however that comes.

    The repository's own files, index and HEAD stay as they are, and no hook runs.

    Raises:
        ConfigError: the commit is not there, or the patch does not fit it.
    """
    with TemporaryDirectory(prefix="trainyard-", ignore_cleanup_errors=True) as temporary:
        tree = Path(temporary) / "code"
        try:
            git(repository, "worktree", "add", "--detach", str(tree), commit)
            if patch:
                git(tree, "apply", "--binary", "--whitespace=nowarn", "-", given=patch)
            yield tree
        finally:
            remove(repository, tree)


def remove(repository: Path, tree: Path) -> None:
    """Remove a worktree, and what the repository notes of it, as far as either is there."""
    try:
        git(repository, "worktree", "remove", "--force", "--force", str(tree))
    except ConfigError:  # half made
        git(repository, "worktree", "prune")


def check_commit(repository: Path, commit: str, name: str) -> None:
    """Raise a ConfigError where a repository has not got the commit of a run."""
    try:
        git(repository, "cat-file", "-e", f"{commit}^{{commit}}")
    except ConfigError as error:
        accepted = "after `git fetch`, or in the clone where it was made"
        raise reject("RUN", name, f"its commit {commit[:10]} is not in {repository}", accepted) from error
