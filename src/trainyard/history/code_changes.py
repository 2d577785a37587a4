"""How the code of two runs differs."""

from pathlib import Path

from trainyard.errors import ConfigError, listing
from trainyard.history.code import SHOWN, Code, by_weight
from trainyard.history.worktree import git
from trainyard.stored.run import StoredRun

PACKAGE = Path(__file__).parents[1]


def code_changes(one: StoredRun, other: StoredRun, package: Path = PACKAGE) -> list[str] | None:
    """Return lines for commit, patch and files that git did not know, where they differ; `None` without commits.

    Args:
        one, other: the runs.
        package: in the repository that is asked how far the commits are apart.
    """
    ours, theirs = Code.of(one), Code.of(other)
    if ours is None and theirs is None:
        return None
    if ours is None or theirs is None:
        return [" -> ".join(f"commit {code.short}" if code else "an installed package" for code in (ours, theirs))]
    lines = [] if ours.commit == theirs.commit else commit_lines(ours, theirs, package)
    if ours.patch != theirs.patch:
        lines.append(f"{said(ours)} -> {said(theirs)}")
    if lost := sorted({*ours.untracked} ^ {*theirs.untracked}):
        lines.append(f"files that git did not know and one run had: {listing(by_weight(lost), SHOWN)}")
    return lines


def said(code: Code) -> str:
    """Return what a patch is."""
    try:
        return code.patch_text
    except ConfigError:
        return f"a patch of {code.changed} lines"


def commit_lines(ours: Code, theirs: Code, package: Path) -> list[str]:
    """Return how far two commits are apart, and the files between them."""
    line = f"commit {ours.short} -> {theirs.short}"
    try:
        counted = git(package, "rev-list", "--left-right", "--count", f"{ours.commit}...{theirs.commit}", "--")
        files = git(package, "diff", "--name-only", ours.commit, theirs.commit, "--").splitlines()
    except ConfigError:
        return [f"{line}, of which this repository does not know one"]
    left, right = map(int, counted.split())
    apart = f"{right} later" if not left else f"{left} earlier" if not right else f"{left} and {right} from a fork"
    return [f"{line} ({apart})", f"files between them: {listing(by_weight(files), SHOWN) or 'none'}"]
