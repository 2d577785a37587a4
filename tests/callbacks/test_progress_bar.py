"""The progress of a run: a bar on a terminal that is redrawn by time, and a line per epoch in the log."""

import logging
import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor

from tests.terminal.pseudo_terminal import Screen, on_screen
from trainyard.callbacks import progress_bar
from trainyard.callbacks.progress_bar import (
    ProgressReporter,
    TrainingDisplay,
    epoch_label,
    select_scores,
    training_scores,
)
from trainyard.callbacks.validation_scores import ValidationScores
from trainyard.config.composition import compose
from trainyard.data.loading.target import Classes
from trainyard.models.epoch_sums import EpochSums
from trainyard.models.supervised import SupervisedModel
from trainyard.run.training import train
from trainyard.tasks.classification import Classification
from trainyard.terminal import display

BAR = re.compile(r"^epoch  (\d)/12  [━╸╺ ]+  +[\d,]+ examples/s +(\d+ s to go)$", re.MULTILINE)
SCORES = re.compile(
    r"^train/loss (\d\.\d{4})  train/acc (\d\.\d{4})(?:  val/acc (\d\.\d{4}) \(ep\. (\d+)\))?$", re.MULTILINE
)


STEPS, SECONDS = 60, 0.0625  # number of steps of the run, and duration of a step: every fourth is drawn


class Clock:
    """The clock of the display, which advances only with training steps."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


CLOCK = Clock()


class PrintDuringTraining(L.Callback):
    """Advances the clock, and prints, logs and warns while the bar is visible."""

    def on_train_batch_end(self, trainer: L.Trainer, *more: Any) -> None:
        CLOCK.now += SECONDS
        if trainer.global_step == 10:
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("a warning", stacklevel=1)
            logging.getLogger("trainyard.test").warning("a line of the log")
            print("printed")


class Interrupt(L.Callback):
    """Advances the clock, and raises KeyboardInterrupt in the third epoch."""

    def on_train_batch_end(self, trainer: L.Trainer, *more: Any) -> None:
        CLOCK.now += SECONDS
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt


def run(folder: Path, callback: type[L.Callback]) -> None:
    """Train twelve epochs of five batches, with a callback."""
    own = f"+callbacks.own._target_={callback.__module__}.{callback.__name__}"
    short = ["callbacks=none", "logger=csv", "data.batch_size=256", "trainer.max_epochs=12"]
    with pytest.MonkeyPatch.context() as patch:
        for module in (display, progress_bar):
            patch.setattr(module, "time", CLOCK)
        train(compose([f"hydra.run.dir={folder}", *short, own]))


@pytest.fixture(scope="module", params=[80, 60], ids=["80 columns", "60 columns"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Screen, Path]:
    folder = tmp_path_factory.mktemp("run")
    with on_screen(request.param) as screen:
        run(folder, PrintDuringTraining)
    return screen, folder


def test_the_progress_bar_has_two_lines(seen: tuple[Screen, Path]) -> None:
    screen, folder = seen
    found = [picture for picture in screen.drawn if BAR.search(picture)]
    assert STEPS // 4 - 1 <= len(found) <= STEPS // 4
    assert len(screen.drawn) <= STEPS // 4 + 6, "and once for each printed line"
    assert all(len(line) <= screen.columns for picture in found for line in picture.splitlines())
    epochs = [int(BAR.search(picture)[1]) for picture in found]  # type: ignore[index]
    assert epochs == sorted(epochs)
    assert epochs[-1] > epochs[0]
    assert all(len(BAR.findall(picture)) == 1 for picture in found), "earlier lines are removed"
    last = SCORES.search(found[-1])
    assert last
    assert last[3]
    logged = re.findall(r"epoch (\d+)/12 .* val/acc (\S+)", (folder / "run.log").read_text())
    assert last[4] == str(epochs[-1] - 1), "the last finished epoch"
    assert last[3] == dict(logged)[last[4]]


def test_other_output_is_printed_above_the_bar(seen: tuple[Screen, Path]) -> None:
    screen, _ = seen
    later = [picture for picture in screen.drawn if "printed" in picture and BAR.search(picture)]
    assert later
    for picture in [*later, screen.text]:
        lines = picture.splitlines()
        assert lines.count("printed") == lines.count("a line of the log") == 1
        assert len(re.findall(r"UserWarning:\s+a\s+warning", picture)) == 1, "a long path is wrapped"
    assert later[0].index("printed") < later[0].index("examples/s")


def test_the_bar_is_removed_and_the_log_has_every_epoch(seen: tuple[Screen, Path]) -> None:
    screen, folder = seen
    assert screen.cursor
    assert screen.colours
    assert "examples/s" not in screen.text
    assert not re.search(r"^epoch", screen.text, re.MULTILINE), "epochs are printed only without a bar"
    log = (folder / "run.log").read_text(encoding="utf-8")
    assert re.findall(r"INFO .*: epoch (\d+)/12  train/loss \d", log) == [str(n) for n in range(1, 13)]
    assert re.search(r"view  .*/metrics\.csv$", screen.text.replace("\n", ""))
    assert re.search(r"^val/acc .* [▁▂▃▄▅▆▇█]{12} ", screen.text, re.MULTILINE)


def test_ctrl_c_removes_the_bar_and_no_color_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)  # Lightning would ignore Ctrl-C from here on
    with on_screen(NO_COLOR="1") as screen, pytest.raises(SystemExit):
        run(tmp_path / "run", Interrupt)
    assert BAR.search(screen.drawn[-1])
    assert not screen.colours
    assert screen.cursor
    *_, last = screen.text.splitlines()
    assert "examples/s" not in screen.text
    assert "interrupted; partial results are in" in screen.text
    assert last.endswith("run")


def test_a_dumb_terminal_gets_one_line_per_epoch(tmp_path: Path) -> None:
    with on_screen(TERM="dumb") as screen:
        run(tmp_path / "run", L.Callback)
    assert screen.drawn == []
    assert len(re.findall(r"^epoch \d+/12  train/loss", screen.text, re.MULTILINE)) == 12


def test_curves_continue_in_a_resumed_run() -> None:
    progress, later = (ProgressReporter(ValidationScores("val/acc")) for _ in range(2))
    progress.curves = {"val/acc": [0.1, 0.2]}
    later.load_state_dict(progress.state_dict())
    later.curves["val/acc"].append(0.3)
    assert later.curves == {"val/acc": [0.1, 0.2, 0.3]}
    assert progress.curves == {"val/acc": [0.1, 0.2]}, "a copy"


CPU = torch.device("cpu")
TASK = Classification(Classes(tuple("abcd")))


class FakeClock:
    """A clock that a test advances."""

    now = 50.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    own = FakeClock()
    monkeypatch.setattr(progress_bar, "time", own)
    return own


def counter(done: int) -> Any:
    return SimpleNamespace(current=SimpleNamespace(ready=done))


def trainer(**changes: Any) -> Any:
    """Return a trainer in the third of ten epochs, after 4 of 8 training and 0 of 2 validation batches."""
    loop = SimpleNamespace(batch_progress=counter(4), val_loop=SimpleNamespace(batch_progress=counter(0)))
    state = {
        "current_epoch": 2, "max_epochs": 10, "max_steps": -1, "accumulate_grad_batches": 1, "world_size": 1,
        "num_training_batches": 8, "num_val_batches": [2], "validating": False, "callback_metrics": {},
        "fit_loop": SimpleNamespace(epoch_loop=loop),
    }  # fmt: skip
    return SimpleNamespace(**{**state, **changes})


def model() -> Any:
    network = SimpleNamespace(sums={}, task=TASK)
    network.training_scores = lambda: SupervisedModel.training_scores(network)
    return network


def display_of(state: Any, network: Any) -> TrainingDisplay:
    return TrainingDisplay(state, network, ValidationScores("val/acc"))


def test_the_share_includes_validation() -> None:
    state = trainer()
    display = display_of(state, model())
    assert display.share == pytest.approx((2 + 4 / 10) / 10)
    loop = state.fit_loop.epoch_loop
    loop.batch_progress, loop.val_loop.batch_progress, state.validating = counter(8), counter(1), True
    assert display.share == pytest.approx((2 + 9 / 10) / 10)


def test_the_share_respects_max_steps() -> None:
    assert display_of(trainer(max_steps=40), model()).share == pytest.approx((2 + 4 / 10) / 5)
    twice = trainer(max_steps=16, accumulate_grad_batches=2)
    assert display_of(twice, model()).share == pytest.approx((2 + 4 / 10) / 4)


def test_the_remaining_time_is_estimated_from_this_session(clock: FakeClock) -> None:
    state = trainer()
    display = display_of(state, model())
    assert display.remaining_time() == ""
    clock.now += 12
    state.current_epoch = 3
    assert display.remaining_time() == "79 s to go", "12 s for a tenth; 0.66 is left"
    clock.now += 600
    assert display.remaining_time() == "67 min to go"


def test_throughput_counts_all_processes(clock: FakeClock) -> None:
    display = display_of(trainer(world_size=2), model())
    assert display.throughput() == ""
    display.examples, clock.now = 3000, clock.now + 2
    assert display.throughput() == "3,000 examples/s"
    display.examples, clock.now = 6000, clock.now + 1
    assert display.throughput() == "4,000 examples/s", "6000 in 3 s, twice"


def test_scores_of_an_earlier_epoch_are_marked_or_omitted() -> None:
    network, state = model(), trainer()
    state.callback_metrics |= {"train/loss": torch.tensor(0.9), "train/acc": torch.tensor(0.3)}
    display = display_of(state, network)
    assert display.scores() == "", "not the scores of the epoch before"
    network.sums["train"] = EpochSums.empty(TASK.totals, CPU)
    assert display.scores() == "", "before the first batch of an epoch"
    network.sums["train"].add(torch.tensor(6.0), torch.eye(4), torch.tensor([0, 1, 2, 0]))
    assert display.scores() == "train/loss 1.5000  train/acc 0.7500"
    display.validated_epoch, display.validation.latest = 3, {"val/acc": 0.4, "val/loss": 0.1}
    assert display.scores() == "train/loss 1.5000  train/acc 0.7500  val/acc 0.4000"
    state.current_epoch = 5
    assert display.scores() == "train/loss 1.5000  train/acc 0.7500  val/acc 0.4000 (ep. 3)"


def test_unlimited_runs_have_no_remaining_time() -> None:
    display = display_of(trainer(max_epochs=-1), model())
    assert (display.share, display.remaining_time()) == (0.0, "")
    assert [epoch_label(trainer(max_epochs=epochs), align=True) for epochs in (-1, 10)] == ["epoch 3", "epoch  3/10"]


def test_reading_the_scores_does_not_change_the_sums() -> None:
    draws = torch.Generator().manual_seed(0)
    looked_at, left = EpochSums.empty(TASK.totals, CPU), EpochSums.empty(TASK.totals, CPU)
    for _ in range(100):
        loss, logits = 1e3 * torch.rand((), generator=draws), torch.rand(3, 4, generator=draws)
        for sums in (looked_at, left):
            sums.add(loss, logits, torch.tensor([0, 1, 2]))
        looked_at.copy().stacked()
    assert torch.equal(looked_at.stacked(), left.stacked())


def test_training_scores_are_what_the_model_logs_in_training() -> None:
    validation = ValidationScores("val/x")
    validation.latest = {"val/x": 1.0}
    monitor = LearningRateMonitor()
    monitor.lrs = {"lr-Adam": [0.1]}
    metrics = {"val/x": 1.0, "lr-Adam": 0.1, "loss": 2.0, "train_accuracy": 3.0}
    state: Any = SimpleNamespace(callback_metrics=metrics, callbacks=[monitor])
    assert training_scores(state, validation) == {"loss": 2.0, "train_accuracy": 3.0}


def test_the_scores_of_a_line_are_limited_and_contain_the_objective() -> None:
    names = ["val/b", "val/loss", "train/a", "train/loss"]
    assert select_scores(names) == ["train/loss", "train/a", "val/loss", "val/b"]
    many = [f"val/{number}" for number in range(20)]
    assert select_scores(many, "val/15") == [*many[:5], "val/15"]
    logged_twice = ["loss", "loss_step", "loss_epoch", "val_step"]
    assert select_scores(logged_twice) == ["loss_epoch", "val_step"]
    assert select_scores(logged_twice, "loss") == ["loss", "loss_epoch", "val_step"]
