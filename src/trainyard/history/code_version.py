"""The code that a run was made with, and how that of two runs differs."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError, join_limited
from trainyard.run.provenance import git

SHOWN = 3  # files that are named
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class CodeVersion:
    """A commit and uncommitted changes.

    Attributes:
        commit: hexadecimal, in full.
        patch: changes of tracked files.
        untracked: names of untracked files, whose contents are not stored.
    """

    commit: str
    patch: str = ""
    untracked: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: StoredRun) -> "CodeVersion | None":
        """Return the code of a run; `None` if it came from no checkout."""
        found = run.provenance.get("git")
        if not isinstance(found, dict) or not re.fullmatch(r"[0-9a-f]{40,64}", str(found.get("commit"))):
            return None  # also for what git would take for an option
        untracked = tuple(map(str, found.get("untracked") or ()))
        return cls(str(found["commit"]), str(found.get("uncommitted_patch") or ""), untracked)

    @property
    def short(self) -> str:
        """The abbreviated commit."""
        return self.commit[:10]

    @property
    def patch_summary(self) -> str:
        """Size and files of the patch, or `no patch`."""
        if not self.patch:
            return "no patch"
        count = len(re.findall(r"^(?:\+(?!\+\+ )|-(?!-- ))", self.patch, re.MULTILINE))
        try:
            numbers = git(Path(), "apply", "--numstat", "-", stdin=self.patch).splitlines()
        except ConfigError:
            return f"a patch of {count} lines, which git cannot read"
        return f"a patch of {count} lines in {list_files(line.split(chr(9), 2)[2] for line in numbers)}"


@contextmanager
def checked_out(repository: Path, code: CodeVersion | None) -> Iterator[Path | None]:
    """Yield a temporary worktree with a commit and its patch; the repository's files, index and HEAD do not change."""
    if code is None:
        yield None
        return
    with TemporaryDirectory(prefix="trainyard-", ignore_cleanup_errors=True) as temporary:
        tree = Path(temporary) / "code"
        try:
            git(repository, "worktree", "add", "--detach", str(tree), code.commit)
            if code.patch:
                git(tree, "apply", "--binary", "--whitespace=nowarn", "-", stdin=code.patch)
            yield tree
        finally:
            try:
                git(repository, "worktree", "remove", "--force", "--force", str(tree))
            except ConfigError:  # it was not complete
                git(repository, "worktree", "prune")


def code_changes(one: StoredRun, other: StoredRun, package: Path = PACKAGE) -> list[str] | None:
    """Return a line for commits, patches and untracked files that differ; `None` if neither run has a commit.

    Args:
        one, other: the runs.
        package: a folder in the repository that has the commits.
    """
    ours, theirs = CodeVersion.of(one), CodeVersion.of(other)
    if ours is None and theirs is None:
        return None
    if ours is None or theirs is None:
        return [" -> ".join(f"commit {code.short}" if code else "an installed package" for code in (ours, theirs))]
    lines = []
    if ours.commit != theirs.commit:
        line = f"commit {ours.short} -> {theirs.short}"
        try:
            counts = git(package, "rev-list", "--left-right", "--count", f"{ours.commit}...{theirs.commit}", "--")
            files = git(package, "diff", "--name-only", ours.commit, theirs.commit, "--").splitlines()
        except ConfigError:
            lines.append(f"{line}, not both of which are in this repository")
        else:
            removed, added = counts.split()
            lines += [f"{line} ({added} commits more, {removed} less)", f"changed files: {list_files(files) or 'none'}"]
    if ours.patch != theirs.patch:
        lines.append(f"{ours.patch_summary} -> {theirs.patch_summary}")
    if untracked := {*ours.untracked} ^ {*theirs.untracked}:
        lines.append(f"untracked files of one run: {list_files(untracked)}")
    return lines


def list_files(files: Iterable[str]) -> str:
    """Return the first files, those of the package and its configs before others."""
    names = sorted(files, key=lambda name: (not name.startswith(("conf/", "src/")), name))
    return join_limited(names, SHOWN)
