"""`show.py schedule`: its table and its picture."""

from pathlib import Path

import pytest
from PIL import Image


def test_step_shows_first_peak_and_last_rate(typed_command, tmp_path: Path) -> None:
    words = ("optimizer=sgd", "optimizer.lr=0.04", "scheduler=step", "trainer.max_epochs=6")
    code, screen, errors = typed_command("show", "schedule", *words)
    assert (code, errors) == (0, "")
    heading, weights, others, steps, _, look = screen.splitlines()
    assert heading.endswith("by epoch, █ is 0.04")
    assert weights.split() == [
        *("weights", "50,432", "4.00e-02", "(1)", "4.00e-02", "(1)", "4.00e-04", "(6)", "██▁▁▁▁")
    ]  # fmt: skip
    assert others.split()[:2] == ["biases_and_norms", "394"]
    assert steps == "steps      20 per epoch, 120 in total"
    assert look == "written    outputs/show/schedule.png"
    with Image.open(tmp_path / "outputs" / "show" / "schedule.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(10**6)}
    assert (31, 119, 180) in colours, "the line"
    assert (255, 127, 14) not in colours, "one line for two groups of one rate"
    assert [path.name for path in (tmp_path / "outputs").rglob("*")] == ["show", "schedule.png"]


def test_one_cycle_of_ten_steps_peaks_at_the_fourth(typed_command) -> None:
    words = ("scheduler=one_cycle", "trainer.max_epochs=10", "data.batch_size=1259")
    _, screen, _ = typed_command("show", "schedule", *words)
    rates = screen.splitlines()[1].split()[2:8]
    assert rates == ["4.00e-05", "(1)", "1.00e-03", "(4)", "4.95e-05", "(10)"]


def test_a_plateau_says_that_nobody_knows(typed_command) -> None:
    code, screen, _ = typed_command("show", "schedule", "scheduler=plateau", "trainer.max_epochs=3")
    assert code == 0
    assert "the rate drops when val/loss stops improving" in screen
    assert "███" in screen


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scheduler=stepp", ["scheduler=stepp", "did you mean step"]),
        ("trainer.max_epochs=0", ["trainer.max_epochs=0", "a whole number from 1"]),
        ("data.batch_size=9999", ["data.batch_size=9999", "1 to 1259"]),
        ("model=mlp,cnn", ["model=mlp,cnn"]),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(typed_command, tmp_path: Path, line: str, expected: list[str]) -> None:
    code, screen, errors = typed_command("show", "schedule", *line.split())
    assert (code, screen) == (1, "")
    assert all(word in errors for word in expected)
    assert len(errors.strip().splitlines()) <= 4
    assert not list(tmp_path.iterdir())
