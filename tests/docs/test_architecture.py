"""The page about the architecture names files and layers that exist."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "trainyard"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text()


def test_the_diagram_shows_the_packages_and_points_downwards() -> None:
    contract = (REPOSITORY / "pyproject.toml").read_text().partition("layers = [")[2].partition("]")[0]
    layers = re.findall(r'"(\w+)"', contract)
    assert sorted(re.findall(r'^ +(\w+)\["<b>\1</b>', PAGE, re.MULTILINE)) == sorted(layers)
    assert {path.name for path in SOURCE.iterdir() if path.is_dir()} - {"__pycache__"} == set(layers)
    chains = [line.split(" --> ") for line in PAGE.splitlines() if " --> " in line]
    arrows = [(upper.strip(), lower) for chain in chains for upper, lower in pairwise(chain)]
    assert len(arrows) == 17
    assert all(layers.index(upper) < layers.index(lower) for upper, lower in arrows)


PATHS = {path for path in re.findall(r"`([\w/.]+/[\w.]+)(?:: [^`]*)?`", PAGE) if not re.search("[A-Z]{4}", path)}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_named_file_exists(path: str) -> None:
    assert any((home / path).exists() for home in (REPOSITORY, SOURCE)), path
