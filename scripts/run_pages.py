"""Execute the commands of documentation pages: `python scripts/run_pages.py [--write] [--quick] PAGE ...`.

Each page is executed in an empty folder with a copy of the project. The output in the page must match the output of its
commands; scores may differ by 0.1. In a page,

- a fence `console` contains commands after `$ `, each followed by a selection of its output lines, with `...` for
  omitted lines. In a fence `console error`, the last command must fail.
- a fence with a title, such as `yaml title="conf/model/linear.yaml"`, is a file.
- in a fence `text`, lines that begin with `python train.py` are commands for other machines, which are only composed.
- a picture with a title, `![alt](images/name.png "outputs/draw/curves.png")`, is a copy of a file that a command draws.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
COPIED = ("conf", "scripts", "src", "train.py")
QUICK = " trainer.max_epochs=2"
COLOURS = 64  # of a picture
FENCE = re.compile(r"^```(?P<kind>\w+)(?P<error> error)?(?: title=\"(?P<title>[^\"]+)\")?\s*$")
PICTURE = re.compile(r"^!\[[^\]]*\]\((?P<path>[^\s)]+) \"(?P<source>[^\"]+)\"\)")
OMITTED = ("", "...")
SCORE = re.compile(r"\d+\.\d{4,}(?:e[-+]?\d+)?")  # losses, accuracies, probabilities have four digits; seconds have one
TOLERANCE = 0.1  # of a score: the results of processors differ


class PageError(Exception):
    """A page does not describe the actual behaviour."""


@dataclass(frozen=True)
class File:
    """A file to write."""

    path: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command in line `line` of the page (from 0), its output lines in the page, and whether it must fail."""

    line: int
    command: str
    expected_output: Sequence[str]
    fails: bool


@dataclass(frozen=True)
class RemoteCommand:
    """A command for another machine, such as one with a GPU."""

    command: str


@dataclass(frozen=True)
class Picture:
    """A picture of the page, and the file that a command draws."""

    path: str
    source: str


Step = File | Command | RemoteCommand | Picture


def parse_page(page: Path) -> Iterator[Step]:
    """Yield the steps of a page in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        fence, picture = FENCE.match(lines[number]), PICTURE.match(lines[number])
        if picture:
            yield Picture(picture["path"], picture["source"])
        if fence:
            end = lines.index("```", number + 1)
            yield from parse_fence(fence, lines[number + 1 : end], number + 1)
            number = end
        number += 1


def parse_fence(fence: re.Match[str], lines: Sequence[str], first: int) -> Iterator[Step]:
    """Yield the steps of a fence whose content begins in line `first`."""
    if fence["title"]:
        yield File(fence["title"], "\n".join(lines) + "\n")
    elif fence["kind"] == "console":
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            fails = bool(fence["error"]) and end == len(lines)
            yield Command(first + start, lines[start][2:], lines[start + 1 : end], fails)
    elif fence["kind"] == "text":
        yield from (RemoteCommand(line) for line in lines if line.startswith("python train.py"))


def normalize_line(line: str) -> str:
    """Return a line without the parts that differ between runs: numbers, run names, curves, column widths.

    The rank in a leaderboard is not removed, so a different ranking is an error, except for rows that are not
    significantly different from the best (`2 =`).
    """
    rank = re.match(r"\d+(?= +[^ =].* completed )", line)
    line = re.sub(r"\b\d{8}-\d{6}-([\w-]+)-[0-9a-f]{4}\b", r"RUN-\1", line)
    line = re.sub(r"[▁▂▃▄▅▆▇█]+", "~", line)
    line = re.sub(r"\d+\.\d+(e[-+]?\d+)?|\b\d+e[-+]?\d+", "#", line)
    if not line.startswith("epoch "):
        line = re.sub(r"\b\d+\b", "#", line)
    return re.sub(r"\s+", " ", f"rank {rank[0]} {line}" if rank else line).strip()


def lines_match(expected: str, actual: str) -> bool:
    """Whether two lines are equal after normalization, with scores that differ by at most the tolerance."""
    scores = zip(SCORE.findall(expected), SCORE.findall(actual), strict=False)
    close = all(abs(float(one) - float(two)) <= TOLERANCE for one, two in scores)
    return close and normalize_line(expected) == normalize_line(actual)


def update_output(expected: Sequence[str], actual: Sequence[str]) -> list[str]:
    """Return the expected lines with their actual content, in the order in which they are printed.

    Raises:
        LookupError: no actual line matches an expected one.
    """
    found: list[int] = []
    for line in expected:
        if line.strip() not in OMITTED:
            matches = (n for n, other in enumerate(actual) if n not in found and lines_match(line, other))
            number = next(matches, None)
            if number is None:
                raise LookupError(line)
            found.append(number)
    updated = iter(sorted(found))
    return [line if line.strip() in OMITTED else actual[next(updated)].rstrip() for line in expected]


def run_page(page: Path, folder: Path, write: bool = False, quick: bool = False) -> None:
    """Execute a page in an empty folder.

    Args:
        write: whether to replace output and pictures of the page by the actual ones.
        quick: whether to train two epochs and to skip the comparison of the output.

    Raises:
        PageError: a command has another exit code or output than in the page, or does not draw a picture.
    """
    for name in COPIED:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, folder / name)
    lines = page.read_text(encoding="utf-8").splitlines()
    for step in parse_page(page):
        match step:
            case File(path, text):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
            case RemoteCommand(command):
                run_command(page, f"{first_job(command)} --cfg job", folder, fails=False)
            case Command():
                end = step.line + 1 + len(step.expected_output)
                lines[step.line + 1 : end] = check_output(page, step, folder, quick)
            case Picture(path, source):
                if not (folder / source).is_file():
                    raise PageError(f"{page}: no command draws {source}")
                if write:
                    copy_picture(folder / source, page.parent / path)
    if write:
        page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def copy_picture(source: Path, target: Path) -> None:
    """Copy a picture with fewer colours, which takes a third of the size."""
    target.parent.mkdir(exist_ok=True)
    Image.open(source).convert("RGB").quantize(COLOURS).save(target, optimize=True)


def first_job(command: str) -> str:
    """Return the command of the first job of a sweep; other commands are unchanged."""
    words = [word for word in shlex.split(command) if word != "-m"]
    for number, word in enumerate(words[2:], start=2):
        override = OverridesParser.create().parse_override(word)
        if override.is_sweep_override():
            value = override.value()
            first = value.start if isinstance(value, IntervalSweep) else next(override.sweep_string_iterator())
            words[number] = f"{override.get_key_element()}={first}"
    return shlex.join(words)


def check_output(page: Path, step: Command, folder: Path, quick: bool) -> list[str]:
    """Run a command; return its expected output lines with their actual content."""
    trains = step.command.startswith("python train.py") and "resume=" not in step.command
    actual = run_command(page, step.command + QUICK * (quick and trains), folder, step.fails)
    try:
        return list(step.expected_output) if quick else update_output(step.expected_output, actual.splitlines())
    except LookupError as missing:
        raise PageError(f"{page}: {step.command}\n  does not print: {missing.args[0]}\n{actual}") from missing


def run_command(page: Path, command: str, folder: Path, fails: bool) -> str:
    """Return the output of a command on stdout and stderr."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "src"), "COLUMNS": "150"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if (done.returncode != 0) != fails:
        raise PageError(f"{page}: {command}\n  exits with {done.returncode}\n{done.stdout}")
    return done.stdout


def main() -> None:
    """Execute the given pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    parser.add_argument("--write", action="store_true", help="write actual output and pictures into the pages")
    parser.add_argument("--quick", action="store_true", help="train two epochs, and skip the comparison")
    args = parser.parse_args()
    for page in args.pages:
        with tempfile.TemporaryDirectory() as folder:
            try:
                run_page(page, Path(folder), args.write, args.quick)
            except PageError as error:
                sys.exit(str(error))
        print(page)


if __name__ == "__main__":
    main()
