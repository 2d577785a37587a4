"""The page about the architecture names files and layers that exist."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "trainyard"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text()


def test_the_diagram_shows_the_layers_of_the_contract() -> None:
    contract = (REPOSITORY / "pyproject.toml").read_text().partition("layers = [")[2].partition("]")[0]
    layers = re.findall(r'"(\w+)"', contract)
    assert re.findall(r"^    (\w+)\[", PAGE, re.MULTILINE) == layers
    arrows = [line.split(" --> ") for line in PAGE.splitlines() if " --> " in line]
    assert [name.strip() for line in arrows for name in line[: None if line is arrows[-1] else -1]] == layers
    assert {path.name for path in SOURCE.iterdir() if path.is_dir()} - {"__pycache__"} == set(layers)


PATHS = {path for path in re.findall(r"`([\w/.]+/[\w.]+)(?:: [^`]*)?`", PAGE) if not re.search("[A-Z]{4}", path)}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_named_file_exists(path: str) -> None:
    assert any((home / path).exists() for home in (REPOSITORY, SOURCE)), path
