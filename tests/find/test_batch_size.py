"""`find.py batch_size`: which sizes are tried, which is suggested, and what is said."""

from pathlib import Path
from typing import Any

import pytest

from trainyard.config import compose
from trainyard.find import pace, trials
from trainyard.find.batch_size import suggestion, text
from trainyard.find.pace import Pace
from trainyard.models.classifier import Classifier

MIB = 2**20


def paced(rates: dict[int, float | None]) -> list[Pace]:
    return [Pace(size, rate, 0) for size, rate in rates.items()]


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
def test_the_smallest_of_the_fast_is_suggested(
    rates: dict[int, float | None], examples: int, expected: int | None
) -> None:
    best = suggestion(paced(rates), examples)
    assert (best and best.batch_size) == expected
    said = text(best, paced(rates), examples)
    assert (f"data.batch_size={expected}" in said) == (expected is not None)


def tried(monkeypatch: pytest.MonkeyPatch, examples: int, free: int | None, paces: dict[int, Pace]) -> list[Any]:
    monkeypatch.setattr(trials, "free_memory", lambda: free)
    return list(trials.trials(paces.__getitem__, examples))


def test_sizes_double_up_to_all_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    paces = {size: Pace(size, 1e6, 0) for size in (8, 16, 32, 64, 100)}
    assert tried(monkeypatch, 100, None, paces) == list(paces.values())


def test_what_would_not_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    paces = {8: Pace(8, 1e6, 100 * MIB), 16: Pace(16, 1e6, 120 * MIB), 32: Pace(32, 1e6, 160 * MIB)}
    assert tried(monkeypatch, 1000, 70 * MIB, paces) == [
        *paces.values(), "        64 not tried: it would take 80 MiB more, 70 are free",
    ]  # fmt: skip


def test_it_ends_where_larger_ones_get_slower_or_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    slower = {8: Pace(8, 1000, 0), 16: Pace(16, 690, 0), 32: Pace(32, 600, 0)}
    assert tried(monkeypatch, 1000, None, slower)[-1] == "        64 not tried: larger ones get slower"
    long = {8: Pace(8, 1, 0), 16: Pace(16, 1, 0)}
    assert tried(monkeypatch, 1000, None, long)[-1] == "        32 not tried: it would take longer than 60 s in all"


def test_the_rate_is_that_of_the_middle_step_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 10.2, 10.4, 14.4])
    monkeypatch.setattr(pace.time, "perf_counter", lambda: next(times))

    class Trainer:
        class strategy:  # noqa: N801
            root_device = pace.torch.device("cpu")

        should_stop = False

    clock, trainer = pace.Clock(), Trainer()
    for count in (1, 64, 36, 64):
        clock.on_train_batch_end(trainer, None, None, (None, range(count)), 0)  # type: ignore[arg-type]
    assert clock.rate == pytest.approx(36 / 0.2), "between 64 / 0.2, and 64 / 4 while the machine was busy"
    assert trainer.should_stop


def test_it_measures_and_suggests_an_override(typed_command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pace, "ENOUGH", 0.01)
    step = Classifier.training_step

    def limited(self: Classifier, batch: Any, batch_idx: int) -> Any:
        if len(batch[1]) > 16:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", limited)
    code, screen, errors = typed_command("find.py", "batch_size", "data=penguins", "trainer=quick")
    assert (code, errors) == (0, "")
    rows = [line.split() for line in screen.splitlines()]
    assert [row[:1] + row[2:3] for row in rows[1:3]] == [["8", "30"], ["16", "15"]]
    assert rows[3] == ["32", "does", "not", "fit", "in", "memory"]
    [override] = [row[1] for row in rows if row[0] == "type"]
    assert compose(["data=penguins", override]).data.batch_size in (8, 16)
    assert [path.name for path in tmp_path.rglob("*")] == ["outputs", "find", "batch_size.png"]
