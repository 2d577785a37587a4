"""When a process dies, the run fails with one sentence that gives the reason, and no process remains."""

from pathlib import Path

import pytest

from tests.distributed.ranks import DDP, DDP_CPU, End, death

REASONS = {
    "kill": "was killed by SIGKILL",
    "hard": "ended with exit code 7",
    "leave": "ended with exit code 0",
    "raise": "failed: RuntimeError: the cable is loose",
    "exit": "failed: SystemExit: 3",
}


def check(end: End, text: str) -> None:
    assert end.code == 1, end.screen
    assert end.result["status"] == "failed"
    assert end.result["error"].startswith(text), end.result["error"]
    assert len([line for line in end.screen.splitlines() if line.startswith(text)]) == 1, end.screen
    assert "Traceback" not in end.screen
    assert text in end.log
    assert end.left == []


def test_reason_of_a_killed_rank(tmp_path: Path) -> None:
    check(death(tmp_path, "kill", *DDP_CPU), "ProcessDied: rank 1 was killed by SIGKILL")


DEATHS = [
    *((DDP_CPU, "hard", 1, "train"), (DDP_CPU, "raise", 1, "train"), (DDP_CPU, "exit", 1, "validation")),
    *((DDP_CPU, "leave", 1, "train"), (DDP_CPU, "kill", 0, "validation"), (DDP_CPU, "raise", 0, "train")),
    *((DDP_CPU, "leave", 0, "train"), (DDP, "kill", 1, "train"), (DDP, "raise", 0, "train"), (DDP, "kill", 0, "train")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "how", "rank", "stage"), DEATHS)
def test_reason_of_each_death(tmp_path: Path, words: tuple[str, ...], how: str, rank: int, stage: str) -> None:
    check(death(tmp_path, how, *words, rank=rank, stage=stage), f"ProcessDied: rank {rank} {REASONS[how]}")


@pytest.mark.slow
def test_silent_rank_is_ended(tmp_path: Path) -> None:
    check(death(tmp_path, "kill", *DDP_CPU, "+callbacks.die.other=sleep"), "ProcessDied: rank 1 was killed by SIGKILL")
