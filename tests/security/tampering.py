"""What the tests of tampered runs share."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from trainyard.inference.evaluate import evaluate
from trainyard.io.errors import ConfigError


def change(run: Path, path: str, value: Any) -> None:
    """Put a value into the stored config, as an editor does."""
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    node = config
    *parents, last = path.split(".")
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value
    file.write_text(yaml.safe_dump(config, sort_keys=False))


def refused(run: Path) -> str:
    """Return what is said; it must fit into two lines, and nothing may have been written."""
    with pytest.raises(ConfigError) as error:
        evaluate(str(run))
    assert len(str(error.value).splitlines()) <= 2
    assert not (run / "evaluation").exists()
    return str(error.value)
