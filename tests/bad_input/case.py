"""A case of bad input: the command, its files and environment, and the expected output."""

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
        words: arguments of the command, as in a shell.
        says: parts of the expected output.
        command: `train` or another command.
        files: contents of the current folder, by path.
        runs: names of trained runs to put into `outputs/runs`.
        env: environment variables; `None` removes one.
        code: the expected exit code.
        began: pattern of the directory of the run, if one starts before it fails.
        process: whether to start a new process.
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
        """Whether the case is in the eighth of the table that the default suite runs."""
        return self.process or zlib.crc32(f"{self}{self.says}".encode()) % 8 == 0

    @property
    def typed(self) -> list[str]:
        """The arguments, split as a shell splits them."""
        return shlex.split(self.words)

    def __str__(self) -> str:
        extra = ",".join([*self.files, *self.env])
        return f"{self.command} {self.words}" + (f" ({extra})" if extra else "")


def read_cases() -> list[Case]:
    """Return the table."""
    with TABLE.open(encoding="utf-8") as file:
        return [Case(**row) for row in yaml.safe_load(file)]
