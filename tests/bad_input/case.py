"""One case of bad input: what is typed where, and what is to come of it."""

import shlex
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.bad_input.places import Content

TABLE = Path(__file__).with_name("cases.yaml")


@dataclass(frozen=True)
class Case:
    """A line of the table.

    Attributes:
        words: as typed behind the command.
        says: what must be on the screen.
        command: what is typed before them.
        files: what lies in the folder, by path.
        runs: trained runs that lie in `outputs/runs`.
        env: variables of the environment; `None` takes one away.
        code: with which the command must end.
        began: where a run had begun, which says that it failed.
        process: whether it runs as a process of its own.
    """

    words: str
    says: list[str]
    command: str = "train"
    files: dict[str, Content] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    env: dict[str, str | None] = field(default_factory=dict)
    code: int = 1
    began: str = ""
    process: bool = False

    @property
    def often(self) -> bool:
        """Whether it is one of the eighth, spread over the table, that every run of the tests tries."""
        return self.process or zlib.crc32(f"{self}{self.says}".encode()) % 8 == 0

    @property
    def typed(self) -> list[str]:
        """The words as a shell hands them over."""
        return shlex.split(self.words)

    def __str__(self) -> str:
        extra = ",".join([*self.files, *self.env])
        return f"{self.command} {self.words}" + (f" ({extra})" if extra else "")


def read_cases() -> list[Case]:
    """Return the table."""
    with TABLE.open(encoding="utf-8") as file:
        return [Case(**row) for row in yaml.safe_load(file)]
