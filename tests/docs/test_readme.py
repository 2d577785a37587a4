"""The README stays short, and names every option that there is."""

import re
from pathlib import Path

import pytest

from trainyard.config.composition import load_options

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
GROUPS = ("data", "model", "optimizer", "scheduler", "finetune", "augment", "accelerator", "trainer", "callbacks")


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("group", [*GROUPS, "logger", "debug", "experiment"])
def test_every_option_is_named_beside_its_group(group: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith("|") and f"`{group}`" in line)
    words = set(re.findall(r"\w+", row))
    assert set(load_options(group)) - {"shared"} <= words


def test_the_comparison_has_a_cell_for_every_tool() -> None:
    table = README.partition("## Beside other tools")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 8
    assert all(row.count("|") == 7 for row in rows)
