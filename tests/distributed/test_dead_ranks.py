"""A process that dies takes the run with it, in one sentence, and nothing is left behind."""

from pathlib import Path

import pytest

from tests.distributed.ranks import RERUN, SPAWNED, End, death

BY_ITSELF = {
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


def test_a_rank_that_is_killed_is_named(tmp_path: Path) -> None:
    check(death(tmp_path, "kill", *SPAWNED), "ProcessDied: rank 1 was killed by SIGKILL")


SPAWNED_DEATHS = [
    *(("hard", 1, "train"), ("raise", 1, "train"), ("exit", 1, "validation"), ("leave", 1, "train")),
    *(("kill", 0, "validation"), ("raise", 0, "train"), ("leave", 0, "train")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "rank", "stage"), SPAWNED_DEATHS)
def test_whatever_a_spawned_rank_dies_of(tmp_path: Path, how: str, rank: int, stage: str) -> None:
    check(death(tmp_path, how, *SPAWNED, rank=rank, stage=stage), f"ProcessDied: rank {rank} {BY_ITSELF[how]}")


@pytest.mark.slow
@pytest.mark.parametrize("how", BY_ITSELF)
def test_whatever_a_rank_dies_of_that_runs_the_command_again(tmp_path: Path, how: str) -> None:
    check(death(tmp_path, how, *RERUN), f"ProcessDied: rank 1 {BY_ITSELF[how]}")


@pytest.mark.slow
def test_the_first_rank_dies_of_an_error_of_its_own(tmp_path: Path) -> None:
    check(death(tmp_path, "raise", *RERUN, rank=0), "RuntimeError: the cable is loose")


@pytest.mark.slow
@pytest.mark.parametrize("words", [SPAWNED, RERUN], ids=["spawned", "rerun"])
def test_a_rank_that_hears_nothing_ends_too(tmp_path: Path, words: tuple[str, ...]) -> None:
    check(death(tmp_path, "kill", *words, "+callbacks.die.other=sleep"), "ProcessDied: rank 1 was killed by SIGKILL")


@pytest.mark.slow
def test_a_first_rank_that_is_killed_leaves_no_other(tmp_path: Path) -> None:
    end = death(tmp_path, "kill", *RERUN, rank=0)
    assert end.code == -9
    assert end.left == []
    assert "lost another process" in end.log or "gloo" in end.log
