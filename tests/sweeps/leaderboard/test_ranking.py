"""What each axis does, and what to try where the best lies on the edge."""

import shlex
from pathlib import Path

import pytest

from tests.sweeps.synthetic import stored
from trainyard.sweeps.leaderboard.ranking import main_effects, suggest_values

FAILED = {"status": "failed", "error": "RuntimeError: no"}


def test_each_axis_has_its_mean_effect(tmp_path: Path) -> None:
    sweep = stored(tmp_path, ["model=a,b", "lr=1,2", "seed=0,1"], [0.1, 0.3, 0.5, 0.5, 0.6, 0.8, FAILED, FAILED])
    assert main_effects(sweep.rows, sweep.space.axes) == {
        "model": {"a": pytest.approx(0.35), "b": pytest.approx(0.7)},
        "lr": {"1": pytest.approx(0.45), "2": pytest.approx(0.5)},
    }


@pytest.mark.parametrize(
    ("words", "scores", "said"),
    [
        ("lr=0.001,0.01,0.1", [0.1, 0.2, 0.3], ("lr=0.1 is the highest value tried", "lr=0.1,1,10")),
        ("lr=0.1,0.001,0.01", [0.1, 0.3, 0.2], ("lr=0.001 is the lowest value tried", "lr=0.001,0.0001,1e-05")),
        ("width=8,16,32", [0.1, 0.2, 0.3], ("width=32 is the highest value tried", "width=32,64,128")),
        ("shift=-2,-1,0", [0.1, 0.2, 0.3], ("shift=0 is the highest value tried", "shift=0,1,2")),
        ("dropout=0,0.1,0.2", [0.3, 0.2, 0.1], None),
        ("lr=1,2,3", [0.1, 0.3, 0.2], None),
        ("lr=1,2", [0.1, 0.2], None),
        ("model=a,b,c", [0.1, 0.2, 0.3], None),
        ("lr=1,2,null", [0.1, 0.2, 0.15], None),
        ("seed=1,2,3", [0.1, 0.2, 0.3], None),
        ("lr=1,2,3", [FAILED, FAILED, FAILED], None),
    ],
)
def test_a_winner_on_the_edge_raises_an_alarm(
    tmp_path: Path, words: str, scores: list[float], said: tuple[str, str] | None
) -> None:
    sweep = stored(tmp_path, [words], scores)
    expected = [] if said is None else [said[0], f"try next: python train.py -m {said[1]}"]
    assert suggest_values(sweep.rows, sweep.space.axes) == expected


def test_the_command_to_go_on_with_has_all_that_the_winner_had(tmp_path: Path) -> None:
    words = ["model=a,b", "note='a b'", "lr=1,2,4", "decay=0.1,0.2,0.3", "seed=0,1"]
    sweep = stored(tmp_path, words, [number / 100 for number in range(36)])
    *alarms, next_command = suggest_values(sweep.rows, sweep.space.axes)
    assert alarms == ["lr=4 is the highest value tried", "decay=0.3 is the highest value tried"]
    typed = shlex.split(next_command.removeprefix("try next: "))
    fixed, seeds = ["model=b", "note='a b'"], "seed=0,1"
    assert typed == ["python", "train.py", "-m", *fixed, "lr=4,8,16", "decay=0.3,0.45,0.675", seeds]
