"""Two runs are bitwise equal, equal within tolerance, or different."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.history.recorded import record
from trainyard.history.reproduce import TOLERANCE, compare, largest_difference
from trainyard.history.stored_run import StoredRun


@pytest.fixture
def pair(tmp_path: Path) -> tuple[StoredRun, StoredRun]:
    """Two equal runs, with checkpoints that name different folders."""
    one = record(tmp_path / "one")
    for folder in (one.folder, tmp_path / "two"):
        if folder != one.folder:
            shutil.copytree(one.folder, folder)
        save(folder)
    return one, StoredRun(tmp_path / "two")


def save(folder: Path, weight: float = 1.0, moment: float = 0.5, **more: torch.Tensor) -> None:
    (folder / "checkpoints").mkdir(exist_ok=True)
    content = {
        "state_dict": {"w": torch.tensor([[weight, 2.0]]), "n": torch.tensor(3), **more},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.tensor(moment, dtype=torch.bfloat16)}}}],
        "callbacks": {"best": {str(folder): torch.tensor(0.9)}},
    }
    torch.save(content, folder / "checkpoints" / "best.ckpt")


def change(run: StoredRun, **metrics: float) -> StoredRun:
    file = run.folder / "result.json"
    result = json.loads(file.read_text())
    result["metrics"] |= {name.replace("_", "/"): value for name, value in metrics.items()}
    file.write_text(json.dumps(result))
    return StoredRun(run.folder)


def test_equal_runs_are_bitwise_equal(pair: tuple[StoredRun, StoredRun]) -> None:
    assert compare(*pair) == ("bitwise equal", True)


def test_metrics_are_compared_to_the_last_bit(pair: tuple[StoredRun, StoredRun]) -> None:
    one, other = pair
    text, fine = compare(one, change(other, val_acc=0.9 + 1e-15))
    assert (text, fine) == ("within tolerance (largest difference 1.0e-15 in val/acc)", True)
    text, fine = compare(one, change(other, val_acc=0.9 + 2 * TOLERANCE))
    assert (text, fine) == ("differs: 1 of 17 values, the largest by 2.0e-03 in val/acc", False)


def test_tolerance_is_relative_for_large_values(pair: tuple[StoredRun, StoredRun]) -> None:
    one, other = change(pair[0], val_loss=1000.0), change(pair[1], val_loss=1000.5)
    assert compare(one, other) == ("within tolerance (largest difference 5.0e-04 in val/loss)", True)


def test_nan_equals_only_nan(pair: tuple[StoredRun, StoredRun]) -> None:
    other = change(pair[1], val_loss=float("nan"))
    assert compare(pair[0], other) == ("differs: 1 of 17 values, the largest by inf in val/loss", False)
    assert compare(change(pair[0], val_loss=float("nan")), other) == ("bitwise equal", True)


def test_weights_and_optimizer_state_are_compared_to_the_last_bit(pair: tuple[StoredRun, StoredRun]) -> None:
    one, other = pair
    save(other.folder, weight=1.0 + 2**-23)
    text, fine = compare(one, other)
    assert (text, fine) == ("within tolerance (largest difference 1.2e-07 in state_dict.w)", True)
    save(other.folder, moment=0.75)
    text, fine = compare(one, other)
    assert not fine
    assert "2.5e-01 in optimizer_states.0.state.0.exp_avg" in text


def test_additional_tensors_are_a_difference(pair: tuple[StoredRun, StoredRun]) -> None:
    one, other = pair
    save(other.folder, extra=torch.zeros(2))
    text, fine = compare(one, other)
    assert (text, fine) == ("differs: 1 of 18 values, the largest by inf in state_dict.extra", False)


def test_curves_are_compared_without_durations(pair: tuple[StoredRun, StoredRun]) -> None:
    one, other = pair
    file = other.folder / "metrics.csv"
    head, *rows = file.read_text().splitlines()
    file.write_text("\n".join([f"{head},seconds", *(f"{row},{number}" for number, row in enumerate(rows))]) + "\n")
    assert compare(one, other) == ("bitwise equal", True)
    file.write_text(file.read_text().replace("0.9,", "0.91,"))
    assert compare(one, other) == (
        "differs: 1 of 17 values, the largest by 1.0e-02 in val/acc at step 19",
        False,
    )


def test_number_of_epochs_is_compared(pair: tuple[StoredRun, StoredRun]) -> None:
    one, other = pair
    file = other.folder / "result.json"
    file.write_text(file.read_text().replace('"epochs": 2', '"epochs": 3'))
    assert compare(one, StoredRun(other.folder)) == ("differs: 1 of 17 values, the largest by inf in epochs", False)


def test_missing_weights_are_not_compared(pair: tuple[StoredRun, StoredRun]) -> None:
    one, other = pair
    save(other.folder, weight=5.0)
    (one.folder / "checkpoints" / "best.ckpt").unlink()
    assert compare(one, other) == ("bitwise equal", True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_compares_bytes_of_any_type(dtype: torch.dtype) -> None:
    zero, one = torch.zeros((), dtype=dtype), torch.ones((), dtype=dtype)
    assert largest_difference(zero, zero.clone()) is None
    if dtype.is_floating_point:
        assert largest_difference(zero, one) == 1
        assert largest_difference(zero, -zero) == 0
        assert largest_difference(zero * float("nan"), zero * float("nan")) is None
    else:
        assert largest_difference(zero, one) == float("inf")
    assert (
        largest_difference(zero, None)
        == largest_difference(None, zero)
        == largest_difference(zero, torch.zeros(1, dtype=dtype))
        == float("inf")
    )
