"""`find batch_size`: the sizes that are tried and suggested, and the output."""

from pathlib import Path
from typing import Any

import psutil
import pytest

from trainyard.config.composition import compose
from trainyard.inspect import batch_size
from trainyard.inspect.batch_size import StepTimer, candidate_sizes, suggestion
from trainyard.models.supervised import SupervisedModel


@pytest.mark.parametrize(
    ("rates", "examples", "expected"),
    [
        ({8: 100, 16: 180, 32: 191, 64: 200}, 10_000, 16),
        ({8: 100, 16: 179, 32: 191, 64: 200}, 10_000, 32),
        ({8: 100, 16: 200, 32: 400, 64: 800}, 320, 32),
        ({8: 100, 16: 200}, 16, 8),
        ({8: 100, 16: 150, 32: None}, 10_000, 16),
        ({8: None}, 100, None),
    ],
    ids=["within a tenth", "just not", "ten steps an epoch", "few examples", "out of memory", "none fits"],
)
def test_smallest_of_the_fast_sizes_is_suggested(
    rates: dict[int, float | None], examples: int, expected: int | None
) -> None:
    assert suggestion(rates, examples) == expected


def test_sizes_double_up_to_all_examples() -> None:
    assert candidate_sizes(100) == [8, 16, 32, 64, 100]
    assert candidate_sizes(8) == [8]
    assert candidate_sizes(64) == [8, 16, 32, 64]
    assert candidate_sizes(5) == [5]


def test_first_step_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 10.2, 10.4, 14.4])
    monkeypatch.setattr(batch_size, "STEPS", 4)
    monkeypatch.setattr(batch_size.time, "perf_counter", lambda: next(times))

    class Trainer:
        class strategy:  # noqa: N801
            root_device = batch_size.torch.device("cpu")

        should_stop = False

    timer, trainer = StepTimer(), Trainer()
    for count in (1, 64, 36, 64):
        timer.on_train_batch_end(trainer, None, None, [batch_size.torch.zeros(count)], 0)  # type: ignore[arg-type]
    assert timer.rates == pytest.approx([64 / 0.2, 36 / 0.2, 64 / 4])
    assert trainer.should_stop


def limit_memory(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Let memory suffice for `most` examples at once."""
    step = SupervisedModel.training_step

    def limited(self: SupervisedModel, batch: Any, batch_idx: int) -> Any:
        if len(batch[1]) > most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(SupervisedModel, "training_step", limited)


def test_command_suggests_an_override(run_command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit_memory(monkeypatch, 16)
    code, screen, errors = run_command("find", "batch_size", "data=penguins", "trainer=quick")
    assert (code, errors) == (0, "")
    rows = [line.split() for line in screen.splitlines()]
    assert [row[:1] + row[2:3] for row in rows[1:3]] == [["8", "30"], ["16", "15"]]
    assert rows[3] == ["32", "does", "not", "fit", "into", "memory"]
    [override] = [row[1] for row in rows if row[0] == "suggests"]
    assert compose(["data=penguins", override]).data.batch_size in (8, 16)
    assert not list(tmp_path.rglob("*"))


def test_size_beyond_free_memory_is_not_tried(run_command, monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = iter([0, 100 << 20])
    monkeypatch.setattr(batch_size, "peak_memory", lambda: next(peaks))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 150 << 20}))
    _, screen, _ = run_command("find", "batch_size", "data=penguins", "trainer=quick")
    assert "        16  not tried: needs about 0.2 GiB more, 0.1 GiB are free" in screen.splitlines()
    assert "data.batch_size=8" in screen
