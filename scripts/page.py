"""A page of the documentation as what can be run: files, commands with what they print, and pictures.

- A fence `console` holds commands, each behind `$ `, and under each a selection of the lines that it prints, `...` for
  what is left out. In a fence `console error` the last command ends with an error.
- A fence with a title, such as `yaml title="conf/model/linear.yaml"`, is a file.
- In a fence `text`, lines that begin with `python train.py` are commands for other machines.
- A picture with a title, `![what](images/name.png "outputs/draw/curves.png")`, is a copy of what a command drew.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(?P<kind>\w+)(?P<error> error)?(?: title=\"(?P<title>[^\"]+)\")?\s*$")
PICTURE = re.compile(r"^!\[[^\]]*\]\((?P<path>[^\s)]+) \"(?P<source>[^\"]+)\"\)")
LEFT_OUT = "..."
SCORE = re.compile(r"\d+\.\d{4,}(?:e[-+]?\d+)?")  # losses, accuracies, probabilities have four digits; seconds have one
TOLERANCE = 0.1  # of a score, from one processor to the next


@dataclass(frozen=True)
class File:
    """A file that the reader writes."""

    path: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command as it is typed.

    Attributes:
        line: number of its line in the page, from 0.
        typed: the words.
        shown: lines of its output, as the page has them.
        fails: whether it ends with an error.
    """

    line: int
    typed: str
    shown: Sequence[str]
    fails: bool


@dataclass(frozen=True)
class Elsewhere:
    """A command for another machine, such as one with a GPU."""

    typed: str


@dataclass(frozen=True)
class Picture:
    """A picture of the page, and the file that a command has drawn."""

    path: str
    source: str


Step = File | Command | Elsewhere | Picture


def steps(page: Path) -> Iterator[Step]:
    """Yield what a page has a reader do, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    place = 0
    while place < len(lines):
        fence, picture = FENCE.match(lines[place]), PICTURE.match(lines[place])
        if picture:
            yield Picture(picture["path"], picture["source"])
        if fence:
            end = lines.index("```", place + 1)
            yield from inside(fence, lines[place + 1 : end], place + 1)
            place = end
        place += 1


def inside(fence: re.Match[str], lines: Sequence[str], first: int) -> Iterator[Step]:
    """Yield what a fence holds, whose lines begin with number `first`."""
    if fence["title"]:
        yield File(fence["title"], "\n".join(lines) + "\n")
    elif fence["kind"] == "console":
        starts = [place for place, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            fails = bool(fence["error"]) and end == len(lines)
            yield Command(first + start, lines[start][2:], lines[start + 1 : end], fails)
    elif fence["kind"] == "text":
        yield from (Elsewhere(line) for line in lines if line.startswith("python train.py"))


def shape(line: str) -> str:
    """Return a line without what differs from run to run: numbers, names of runs, curves, widths of columns.

    The rank of a leaderboard row is kept, so a page fails where its ranking does not hold; rows marked as not
    significantly different from the best (`2 =`) may change places.
    """
    rank = re.match(r"\d+(?= +[^ =].* completed )", line)
    line = re.sub(r"\b\d{8}-\d{6}-([\w-]+)-[0-9a-f]{4}\b", r"RUN-\1", line)
    line = re.sub(r"[▁▂▃▄▅▆▇█]+", "~", line)
    line = re.sub(r"\d+\.\d+(e[-+]?\d+)?|\b\d+e[-+]?\d+", "#", line)
    if not line.startswith("epoch "):
        line = re.sub(r"\b\d+\b", "#", line)
    return re.sub(r"\s+", " ", f"rank {rank[0]} {line}" if rank else line).strip()


def agree(shown: str, printed: str) -> bool:
    """Whether two lines are of one shape, and their scores are about the same."""
    pairs = zip(SCORE.findall(shown), SCORE.findall(printed), strict=False)
    return shape(shown) == shape(printed) and all(abs(float(one) - float(two)) <= TOLERANCE for one, two in pairs)


def refreshed(shown: Sequence[str], printed: Sequence[str]) -> list[str]:
    """Return the shown lines as they are printed now, in the order of the printed ones.

    Raises:
        LookupError: nothing like a line is printed.
    """
    places: list[int] = []
    for line in shown:
        if line.strip() not in ("", LEFT_OUT):
            same = (place for place, other in enumerate(printed) if agree(line, other) and place not in places)
            found = next(same, None)
            if found is None:
                raise LookupError(line)
            places.append(found)
    now = iter(sorted(places))
    return [line if line.strip() in ("", LEFT_OUT) else printed[next(now)].rstrip() for line in shown]
