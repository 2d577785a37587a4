"""`trainyard predict` in a folder with a model of images and one of rows."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.inference.untrained import IMAGES, ROWS, model_of, save

PredictCommand = Callable[..., tuple[int, str, str]]


@pytest.fixture
def predict_command(run_command, tmp_path: Path) -> PredictCommand:
    """Run `trainyard predict` beside `images.ckpt` and `rows.ckpt`; return exit code, stdout and stderr."""
    save(model_of(IMAGES), tmp_path / "images.ckpt")
    save(model_of(ROWS), tmp_path / "rows.ckpt")
    return partial(run_command, "predict")
