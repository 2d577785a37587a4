"""Runs in a real terminal, tmux."""

import re
from pathlib import Path

import pytest

from tests.terminal.tmux import REPOSITORY, Tmux

pytestmark = pytest.mark.slow

BAR = r"^epoch +\d+/\d+  .* examples/s +\d+ \w+ to go$"
PROMPT = r"^\$ ?$"
SLOWLY = (
    "+callbacks.fault._target_=tests.sweeps.faults.Fault",
    "+callbacks.fault.pause=0.3",
)  # slow enough to be captured on any machine
COLOUR = re.compile(r"\x1b\[[\d;]*(?<!\d)(?:3|4|9)\d")


@pytest.mark.parametrize("columns", [80, 60])
def test_a_run_in_a_real_terminal(tmp_path: Path, columns: int) -> None:
    with Tmux(tmp_path, columns) as terminal:
        terminal.train("model=cnn", "trainer.max_epochs=40", *SLOWLY)
        first = terminal.until(BAR)
        assert not terminal.cursor
        assert COLOUR.search(terminal.screen(colours=True))
        second = terminal.until(r"^epoch +[1-4]\d/40 ")
        for screen in (first, second):
            assert len(re.findall(r"^epoch", screen, re.MULTILINE)) == 1
            assert re.search(r"^train/loss \d\.\d{4}  train/acc \d\.\d{4}", screen, re.MULTILINE)
        end = terminal.until(PROMPT)
        assert terminal.cursor
    assert "examples/s" not in end
    assert re.search(r"^test +\d\.\d{4} +0\.9\d{3} \(always '\d': 0\.1\d{3}\)$", end, re.MULTILINE)
    assert re.search(r"^val/loss +\d\.\d{4}  [▁▂▃▄▅▆▇█]{19,40} ", end, re.MULTILINE)
    assert "view       tensorboard --logdir outputs/runs/" in end


def test_ctrl_c_restores_the_terminal_and_prints_how_to_resume(tmp_path: Path) -> None:
    command = ("trainer.max_epochs=4000", "logger=csv", *SLOWLY)
    with Tmux(tmp_path, 80) as terminal:
        terminal.train(*command)
        terminal.until(r"^epoch +([3-9]|\d\d+)/4000")
        terminal.interrupt()
        end = terminal.until(PROMPT)
        assert terminal.cursor
        assert "examples/s" not in end
        assert "Traceback" not in end
        [run] = (tmp_path / "outputs" / "runs").iterdir()
        # The run contains a callback of the package `tests`.
        resume = f"python {REPOSITORY}/train.py resume={run.name} --trusted-packages tests"
        assert resume in end.replace("\n", "")
        terminal.train(*command, f"hydra.run.dir=outputs/runs/{run.name}")
        assert "resuming from outputs/runs/" in terminal.until(BAR)
        terminal.interrupt()
        terminal.until(PROMPT)


def test_ctrl_c_restores_the_terminal_of_a_distributed_run(tmp_path: Path) -> None:
    with Tmux(tmp_path, 80) as terminal:
        terminal.train("accelerator=ddp_cpu", "trainer.max_epochs=4000", "logger=csv", *SLOWLY)
        terminal.until(r"^epoch +([2-9]|\d\d+)/4000")
        terminal.interrupt()
        end = terminal.until(PROMPT)
        assert terminal.cursor
    assert "examples/s" not in end
    assert "\ninterrupted; partial results are in" in end


def test_no_color_and_pipes_are_respected(tmp_path: Path) -> None:
    with Tmux(tmp_path, 80, NO_COLOR="1") as terminal:
        terminal.train("trainer.max_epochs=40", "logger=csv", *SLOWLY)
        terminal.until(BAR)
        assert not COLOUR.search(terminal.screen(colours=True))
        terminal.until(PROMPT)
    with Tmux(tmp_path, 80, FORCE_COLOR="1") as terminal:
        terminal.train("trainer.max_epochs=3", "logger=csv", pipe="cat -v")
        end = terminal.until(PROMPT)
    assert re.findall(r"^epoch (\d)/3  train/loss", end, re.MULTILINE) == ["1", "2", "3"]
    assert not re.search(r"\^[\[M]", end), "control characters as shown by cat -v"
