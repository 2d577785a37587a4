"""The table of bad input, `cases.yaml`: a command, the folder in which it runs, and the expected output."""

import shlex
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.bad_input.case_files import Content

TABLE = Path(__file__).with_name("cases.yaml")


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        args: arguments of the command, as in a shell.
        output: strings that the output must contain.
        command: `train`, or a command of `trainyard`.
        files: files in the current folder, by path.
        runs: trained runs in `outputs/runs`.
        env: environment variables; `None` removes one.
        code: expected exit code.
        failed_run: directory of a run that starts and fails; empty if nothing may be written.
        process: whether the command needs a process of its own.
    """

    args: str
    output: list[str]
    command: str = "train"
    files: dict[str, Content] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    env: dict[str, str | None] = field(default_factory=dict)
    code: int = 1
    failed_run: str = ""
    process: bool = False

    @property
    def in_default_suite(self) -> bool:
        """Whether the case belongs to the eighth of the table, spread evenly, that is not marked as slow."""
        return self.process or zlib.crc32(f"{self}{self.output}".encode()) % 8 == 0

    @property
    def argv(self) -> list[str]:
        """The arguments as a shell splits them."""
        return shlex.split(self.args)

    def __str__(self) -> str:
        extra = ",".join([*self.files, *self.env])
        return f"{self.command} {self.args}" + (f" ({extra})" if extra else "")


def read_cases() -> list[Case]:
    """Return all rows of the table."""
    with TABLE.open(encoding="utf-8") as file:
        return [Case(**row) for row in yaml.safe_load(file)]
