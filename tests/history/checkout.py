"""A checkout of the project that tests may change."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
IGNORED = shutil.ignore_patterns("__pycache__")


@dataclass
class Checkout:
    """A repository of its own."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, whole: bool = False) -> "Checkout":
        """Make one with a commit, of the package and its configs, or of a file in their place."""
        (folder / "src" / "trainyard").mkdir(parents=True)
        (folder / "src" / "trainyard" / "one.py").write_text("one = 1\n")
        if whole:
            shutil.copytree(REPOSITORY / "src", folder / "src", ignore=IGNORED, dirs_exist_ok=True)
            shutil.copytree(REPOSITORY / "conf", folder / "conf")
        found = cls(folder)
        found.git("init", "-q")
        found.commit("a first commit")
        return found

    def git(self, *words: str) -> str:
        """Return what a git command prints."""
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *identity, *words], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout

    def commit(self, message: str) -> str:
        """Commit all there is; return the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file."""
        file = self.folder / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def state(self) -> tuple[str, ...]:
        """Return all that belongs to a person: HEAD, branches, what is staged, changed and new, stashes, worktrees."""
        commands = ("rev-parse HEAD", "branch -a -v", "diff --cached", "diff", "status --porcelain", "stash list")
        return tuple(self.git(*command.split()) for command in (*commands, "worktree list"))
