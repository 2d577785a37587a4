"""The code that a run was made with, as its directory tells."""

import re
from dataclasses import dataclass

from trainyard.errors import listing
from trainyard.history.worktree import patched_files
from trainyard.stored.run import StoredRun

SHOWN = 3  # files that are named
ABBREVIATED = 10  # digits of a commit


@dataclass(frozen=True)
class Code:
    """A commit, and what was not committed.

    Attributes:
        commit: in full.
        patch: of the files that git knows.
        untracked: names of those that it does not, which nobody has kept.
    """

    commit: str
    patch: str = ""
    untracked: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: StoredRun) -> "Code | None":
        """Return the code of a run; `None` where it came from no checkout."""
        found = run.provenance.get("git")
        if not isinstance(found, dict) or not re.fullmatch(r"[0-9a-f]{40,64}", str(found.get("commit"))):
            return None  # also what git would take for an option
        untracked = tuple(map(str, found.get("untracked") or ()))
        return cls(str(found["commit"]), str(found.get("uncommitted_patch") or ""), untracked)

    @property
    def short(self) -> str:
        """The commit as people name it."""
        return self.commit[:ABBREVIATED]

    @property
    def changed(self) -> int:
        """Lines that the patch adds and takes away."""
        return len(re.findall(r"^(?:\+(?!\+\+ )|-(?!-- ))", self.patch, re.MULTILINE))

    @property
    def patch_text(self) -> str:
        """What the patch is, in a few words.

        Raises:
            ConfigError: it is no patch.
        """
        if not self.patch:
            return "no patch"
        files = by_weight(patched_files(self.patch))
        return f"a patch of {self.changed} lines in {listing(files, SHOWN)}"


def by_weight(files: list[str]) -> list[str]:
    """Return files in the order in which they matter: code, then configs, then what no run reads."""
    return sorted(files, key=lambda file: (not file.startswith("src/"), not file.startswith("conf/"), file))
