"""Helpers for tampered runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from trainyard.inference.evaluate import evaluate
from trainyard.io.errors import ConfigError


def set_config(run: Path, path: str, value: Any) -> None:
    """Change a value of the stored config."""
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    node = config
    *parents, last = path.split(".")
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value
    file.write_text(yaml.safe_dump(config, sort_keys=False))


def rejection(run: Path) -> str:
    """Return the error of an evaluation, which must have at most two lines; no file may be written."""
    with pytest.raises(ConfigError) as error:
        evaluate(str(run))
    assert len(str(error.value).splitlines()) <= 2
    assert not (run / "evaluation").exists()
    return str(error.value)
