"""Every way to limit a run and its validations ends with one validation of the final weights.

All runs have five batches an epoch unless they are limited; all clocks count batches.
"""

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import lightning as L
import pytest
import torch
import torch.nn.functional as F

from tests.conftest import Compose
from tests.run.interrupted_runs import checkpoint, tensors
from trainyard.data.sources.builtin import Digits
from trainyard.inspect.schedule import simulate_rates
from trainyard.io.errors import ConfigError
from trainyard.run.load_model import load_model
from trainyard.run.run_length import format_length
from trainyard.run.training import train
from trainyard.sweeps.job import Job
from trainyard.sweeps.plan import group_by_cost

COMMON = [
    *("model.hidden_dims=[8]", "data.batch_size=256", "callbacks=none", "logger=csv", "accelerator=cpu"),
    f"+callbacks.seen._target_={__name__}.ValidatedSteps",
]
SECOND = "+trainer.check_val_every_n_epoch=2"
NULL = "+trainer.check_val_every_n_epoch=null"
STEPS = "+trainer.max_steps=13"


def stop(step: int) -> str:
    return f"+callbacks.stop={{_target_:{__name__}.RequestStop,step:{step}}}"


EPOCH_END = f"+callbacks.stop={{_target_:{__name__}.RequestStop,epoch:1}}"
RUNS: dict[str, tuple[list[str], list[int]]] = {  # overrides, and the steps after which the run validates
    "every second epoch": (["trainer.max_epochs=5", SECOND], [10, 20, 25]),
    "an even number": (["trainer.max_epochs=4", SECOND], [10, 20]),
    "less often than ever": (["trainer.max_epochs=3", "+trainer.check_val_every_n_epoch=100"], [15]),
    "plateau": (["trainer.max_epochs=3", SECOND, "scheduler=plateau"], [10, 15]),
    "steps": ([STEPS], [5, 10, 13]),
    "steps of whole epochs": (["+trainer.max_steps=10"], [5, 10]),
    "steps alone": (["trainer.max_epochs=null", STEPS], [5, 10, 13]),
    "steps without limit of epochs": (["trainer.max_epochs=-1", STEPS, "scheduler=plateau"], [5, 10, 13]),
    "steps, every second epoch": ([STEPS, SECOND], [10, 13]),
    "averaged": ([STEPS, SECOND, "ema_decay=0.5"], [10, 13]),
    "more steps than epochs": (["trainer.max_epochs=2", "+trainer.max_steps=100"], [5, 10]),
    "no limit of steps": (["trainer.max_epochs=2", "+trainer.max_steps=-1"], [5, 10]),
    "accumulated": (["+trainer.max_steps=4", "trainer.accumulate_grad_batches=2"], [3, 4]),
    "an interval": (["trainer.max_epochs=2", "+trainer.val_check_interval=2"], [2, 4, 7, 9, 10]),
    "a share of an epoch": (["trainer.max_epochs=2", "+trainer.val_check_interval=0.4"], [2, 4, 7, 9, 10]),
    "each batch": (["+trainer.max_steps=3", "+trainer.val_check_interval=1"], [1, 2, 3]),
    "longer than an epoch": (["trainer.max_epochs=3", "+trainer.val_check_interval=7", NULL], [7, 14, 15]),
    "longer than the run": (["trainer.max_epochs=2", "+trainer.val_check_interval=70", NULL], [10]),
    "by the clock": (["trainer.max_epochs=2", "+trainer.val_check_interval='00:00:00:03'"], [3, 6, 9, 10]),
    "by the clock, early stopping": (
        ["trainer.max_epochs=2", "callbacks=early_stopping", "+trainer.val_check_interval='00:00:00:03'"],
        [3, 6, 9, 10],
    ),
    "time": (["+trainer.max_time=00:00:00:07"], [5, 7]),
    "time alone": (["trainer.max_epochs=null", "+trainer.max_time={seconds:7}", "scheduler=constant"], [5, 7]),
    "time, every second epoch": (["+trainer.max_time=00:00:00:07", SECOND], [7]),
    "time and least epochs": (["+trainer.max_time=00:00:00:07", "+trainer.min_epochs=3", SECOND], [10, 15]),
    "batches": (["trainer.max_epochs=2", "+trainer.limit_train_batches=3", "+trainer.limit_val_batches=1"], [3, 6]),
    "a share of batches": (["trainer.max_epochs=2", "+trainer.limit_train_batches=0.5"], [2, 4]),
    "fast_dev_run": (["+trainer.fast_dev_run=true"], [1]),
    "fast_dev_run of two": (["+trainer.fast_dev_run=2", "+trainer.max_time=00:00:01:00"], [2]),
    "sanity": (["trainer.max_epochs=2", "trainer.num_sanity_val_steps=-1"], [5, 10]),
    "sanity, every second epoch": (["trainer.max_epochs=3", "trainer.num_sanity_val_steps=1", SECOND], [10, 15]),
    "overfit": (["trainer.max_epochs=2", "+trainer.overfit_batches=2"], [2, 4]),
    "overfit all": (["trainer.max_epochs=3", "+trainer.overfit_batches=1.0", SECOND], [10, 15]),
    "debug": (["debug=fast", "trainer.max_epochs=1"], [2]),
    "debug overfit": (["debug=overfit", "trainer.max_epochs=2"], [1, 2]),
    "stop": ([stop(7)], [5, 7]),
    "stop, every second epoch": ([stop(7), SECOND], [7]),
    "stop, least epochs": ([stop(7), SECOND, "+trainer.min_epochs=3"], [10, 15]),
    "stop, least steps": ([stop(7), "+trainer.min_steps=12"], [5, 10, 12]),
    "stop after an epoch without validation": ([EPOCH_END, SECOND], [5]),
    "early stopping": (
        ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-12", SECOND],
        [10, 20],
    ),
    "early stopping by training": (
        [
            *("callbacks=early_stopping", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-12", SECOND),
            *("callbacks.early_stopping.monitor=train/acc", "+callbacks.early_stopping.check_on_train_epoch_end=true"),
        ],
        [10],
    ),
}


class ValidatedSteps(L.Callback):
    """Counts batches, which replace the clock, and records the validated steps."""

    batches: ClassVar[int] = 0
    validated: ClassVar[list[int]] = []

    def on_train_batch_end(self, *_: Any) -> None:
        ValidatedSteps.batches += 1

    def on_validation_end(self, trainer: L.Trainer, *_: Any) -> None:
        if not trainer.sanity_checking:
            ValidatedSteps.validated.append(trainer.global_step)


class RequestStop(L.Callback):
    """Requests a stop after a step or at the end of an epoch, optionally on one process only."""

    def __init__(self, step: int = -1, epoch: int = -1, rank: int | None = None) -> None:
        self.step, self.epoch, self.rank = step, epoch, rank

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step and self.rank in (None, trainer.global_rank):
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: L.Trainer, *_: Any) -> None:
        trainer.should_stop |= trainer.current_epoch + 1 == self.epoch


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ValidatedSteps.batches, ValidatedSteps.validated = 0, []
    fake = SimpleNamespace(monotonic=lambda: float(ValidatedSteps.batches))
    for name in ("callbacks.timer", "loops.fit_loop", "loops.training_epoch_loop", "loops.evaluation_loop"):
        monkeypatch.setattr(f"lightning.pytorch.{name}.time", fake)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def by_hand(path: Path) -> dict[str, float]:
    """Return the scores of a checkpoint on all validation examples."""
    part = Digits(256).splits["val"]
    with torch.inference_mode():
        logits = load_model(path).eval()(part.x)
    accuracy = float((logits.argmax(1) == part.y).float().mean())
    return {"val/loss": float(F.cross_entropy(logits, part.y)), "val/acc": accuracy}


@pytest.mark.parametrize("name", RUNS)
def test_final_weights_are_validated(compose_run: Compose, name: str) -> None:
    words, validated = RUNS[name]
    cfg = compose_run("trainer.max_epochs=30", *COMMON, *words)
    train(cfg)
    folder = Path(cfg.run.dir)
    assert ValidatedSteps.validated == validated
    last, best = (checkpoint(folder, f"{which}.ckpt") for which in ("last", "best"))
    assert last["global_step"] == validated[-1]
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "completed"
    assert best["global_step"] in validated

    rows = table(folder)
    scores = [(float(row["val/loss"]), float(row["val/acc"])) for row in rows if row["val/loss"]]
    assert len(scores) == len(validated)
    final, chosen = (by_hand(folder / "checkpoints" / f"{which}.ckpt") for which in ("last", "best"))
    assert scores[-1] == pytest.approx((final["val/loss"], final["val/acc"]), abs=1e-5)
    assert chosen == pytest.approx({key: result["metrics"][key] for key in chosen}, abs=1e-5)
    assert result["objective"]["value"] == max(accuracy for _, accuracy in scores)
    check_report(folder, rows, result)


def check_report(folder: Path, rows: list[dict[str, str]], result: dict[str, Any]) -> None:
    """Check that the log has one line per epoch, with its last scores in the table."""
    log = (folder / "run.log").read_text()
    epoch_line = r"epoch (\d+)(?:/\d+)?  train/loss (\S+)  train/acc (\S+)(?:  val/loss (\S+)  val/acc (\S+))?"
    printed = re.findall(epoch_line, log)
    assert [int(line[0]) for line in printed] == list(range(1, result["epochs"] + 1))
    afterwards = re.findall(r"final weights  train/loss -  train/acc -  val/loss (\S+)  val/acc (\S+)", log)
    for epoch, *texts in printed:
        own = [row for row in rows if row["epoch"] == str(int(epoch) - 1)]
        for name, text in zip(("train/loss", "train/acc", "val/loss", "val/acc"), texts, strict=True):
            values = [float(row[name]) for row in own if row[name]]
            if afterwards and epoch == printed[-1][0] and name.startswith("val"):
                values.pop()
            assert (text or "-") == (f"{values[-1]:.4f}" if values else "-"), (epoch, name)
    if afterwards:
        [line] = afterwards
        assert line == tuple(
            f"{float([row[name] for row in rows if row[name]][-1]):.4f}" for name in ("val/loss", "val/acc")
        )


def test_plateau_counts_validations(compose_run: Compose) -> None:
    cfg = compose_run(
        *COMMON, SECOND, "trainer.max_epochs=8", "scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.1",
        "optimizer=sgd", "optimizer.lr=1e-5", "+scheduler.threshold=0.1",
        "+callbacks.rate._target_=lightning.pytorch.callbacks.LearningRateMonitor",
        "+callbacks.rate.logging_interval=step", "trainer.log_every_n_steps=1",
    )  # fmt: skip
    train(cfg)
    rates = [float(row["lr/weights"]) for row in table(Path(cfg.run.dir)) if row.get("lr/weights")]
    assert rates == pytest.approx([1e-5] * 20 + [1e-6] * 10 + [1e-7] * 10), "after the second and third validation"


STOPPED = {  # overrides, and the stage, epoch and batch of the interruption
    "every second epoch": [("train", 0, 4), ("val", 1, 0), ("train", 2, 1), ("train", 2, 4), ("val", 4, 0)],
    "plateau": [("train", 0, 4), ("val", 1, 0), ("val", 2, 0)],
    "steps": [("train", 0, 1), ("train", 2, 1), ("val", 2, 0)],
    "steps alone": [("train", 0, 4), ("val", 2, 0)],
    "averaged": [("train", 0, 4), ("train", 2, 0), ("val", 2, 0)],
    "accumulated": [("train", 0, 1), ("val", 1, 0)],
    "an interval": [("val", 0, 0), ("train", 0, 2), ("train", 1, 0), ("val", 1, 0)],
    "longer than an epoch": [("train", 0, 4), ("val", 1, 0), ("train", 1, 2), ("val", 2, 0)],
    "batches": [("train", 0, 1), ("train", 1, 0), ("val", 1, 0)],
    "sanity, every second epoch": [("train", 0, 2), ("train", 1, 0), ("val", 2, 0)],
    "overfit": [("train", 0, 0), ("val", 1, 0)],
    "stop, every second epoch": [("train", 0, 4), ("val", 1, 0)],
    "stop, least epochs": [("train", 1, 3), ("val", 2, 0)],
}


@pytest.mark.parametrize("name", STOPPED)
def test_resumes_bitwise_with_each_limit(compose_run: Compose, tmp_path: Path, name: str) -> None:
    words = ["trainer.max_epochs=30", *COMMON, "model.dropout=0.2", *RUNS[name][0]]
    words.append("+callbacks.interrupt._target_=tests.run.interrupted_runs.Stop")
    from tests.run.interrupted_runs import Stop

    Stop.at = None
    train(compose_run(*words, folder="whole"))
    cfg = compose_run(*words, folder="parts")
    for place in STOPPED[name]:
        Stop.at = place
        with pytest.raises(SystemExit):
            train(cfg)
        assert Stop.at is None
    train(cfg)
    same(tmp_path / "whole", tmp_path / "parts")


class Fail(L.Callback):
    """Fails at the start of an epoch, so that the last checkpoint is from the end of the previous one."""

    epoch: ClassVar[int] = -1

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.current_epoch == Fail.epoch:
            raise RuntimeError("interrupted by the test")


@pytest.mark.parametrize(
    "name", ["every second epoch", "plateau", "steps", "batches", "stop, least epochs", "averaged"]
)
@pytest.mark.parametrize("limit", [3, pytest.param(5, marks=pytest.mark.slow)], ids=["some batches", "all batches"])
def test_resumes_bitwise_from_the_end_of_an_epoch(
    compose_run: Compose, tmp_path: Path, name: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainyard.callbacks.checkpoints.SAVE_RATIO", 0)  # each epoch is saved
    words = [
        "trainer.max_epochs=30",
        *COMMON,
        "model.dropout=0.2",
        *RUNS[name][0],
        f"++trainer.limit_train_batches={limit}",
    ]
    words.append(f"+callbacks.fail._target_={__name__}.Fail")
    Fail.epoch = -1
    train(compose_run(*words, folder="whole"))
    cfg = compose_run(*words, folder="parts")
    for epoch in (1, 2) if name != "batches" else (1,):
        Fail.epoch = epoch
        with pytest.raises(RuntimeError, match="interrupted by the test"):
            train(cfg, resume=epoch > 1)
    Fail.epoch = -1
    train(cfg, resume=True)
    same(tmp_path / "whole", tmp_path / "parts")


def same(whole: Path, parts: Path) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        one, other = checkpoint(whole, name), checkpoint(parts, name)
        assert [one[key] for key in ("epoch", "global_step", "metrics")] == [
            other[key] for key in ("epoch", "global_step", "metrics")
        ]
        mine, theirs = tensors(one), tensors(other)
        assert mine.keys() == theirs.keys()
        assert [place for place, tensor in mine.items() if not torch.equal(tensor, theirs[place])] == []
        assert one["callbacks"]["ProgressReporter"] == other["callbacks"]["ProgressReporter"]
    assert (whole / "metrics.csv").read_text() == (parts / "metrics.csv").read_text()
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, parts)]
    assert all(results[0][key] == results[1][key] for key in results[0] if key != "seconds")


@pytest.mark.parametrize("changed", ["trainer.max_epochs=1", "+trainer.max_steps=6", "+trainer.max_time=00:00:00:01"])
def test_run_resumed_with_lower_limits_is_validated(compose_run: Compose, changed: str) -> None:
    from tests.run.interrupted_runs import Stop

    words = [*COMMON, "trainer.max_epochs=4", "+callbacks.interrupt._target_=tests.run.interrupted_runs.Stop"]
    if "time" in changed:
        words.append("+trainer.max_time=00:00:05:00")
    Stop.at = ("train", 1, 2)
    with pytest.raises(SystemExit):
        train(compose_run(*words))
    cfg = compose_run(*words, changed.replace("+", "++"))
    train(cfg, resume=True)
    folder = Path(cfg.run.dir)
    assert ValidatedSteps.validated == [5, 8]
    assert checkpoint(folder, "last.ckpt")["global_step"] == 8
    assert "final weights" in (folder / "run.log").read_text()
    rows = [float(row["val/loss"]) for row in table(folder) if row["val/loss"]]
    assert rows[-1] == pytest.approx(by_hand(folder / "checkpoints" / "last.ckpt")["val/loss"], abs=1e-5)


def test_early_stopped_run_continues_with_a_changed_config(compose_run: Compose) -> None:
    words = [*COMMON, stop(7), SECOND]
    train(compose_run(*words, "trainer.max_epochs=30"))
    cfg = compose_run(*words, "trainer.max_epochs=3")
    train(cfg, resume=True)
    assert ValidatedSteps.validated == [7, 12], "the second epoch ended where it stopped"
    assert json.loads((Path(cfg.run.dir) / "result.json").read_text())["epochs"] == 3


PROCESSES = {
    "steps": ([STEPS, SECOND], [10, 13]),
    "by the clock": (["trainer.max_epochs=2", "+trainer.val_check_interval='00:00:00:01'"], None),
    "a stop on one process": (
        [f"+callbacks.stop={{_target_:{__name__}.RequestStop,step:7,rank:1}}", SECOND],
        [7],
    ),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_two_processes_stop_at_the_same_step(compose_run: Compose, name: str) -> None:
    words, validated = PROCESSES[name]
    cfg = compose_run(
        "trainer.max_epochs=30", "model.hidden_dims=[8]", "callbacks=none", "logger=csv", "accelerator=ddp_cpu",
        "data.batch_size=128", *words,
    )  # fmt: skip
    train(cfg)
    rows = [int(row["step"]) + 1 for row in table(Path(cfg.run.dir)) if row["val/loss"]]
    assert rows == (validated or rows)
    folder = Path(cfg.run.dir)
    final = by_hand(folder / "checkpoints" / "last.ckpt")["val/loss"]
    losses = [float(row["val/loss"]) for row in table(folder) if row["val/loss"]]
    assert losses[-1] == pytest.approx(final, abs=1e-4)


def test_early_stopping_without_validation_is_rejected(compose_run: Compose) -> None:
    cfg = compose_run(
        "callbacks=early_stopping", "+callbacks.early_stopping.check_on_train_epoch_end=true", SECOND
    )  # fmt: skip
    with pytest.raises(ConfigError, match="not every epoch is validated"):
        train(cfg)


def test_pruner_gets_scores_of_validated_epochs(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: dict[int, float] = {}
    lengths = []

    class Recorder:
        def report(self, epoch: int, score: float, rungs: dict[str, float]) -> tuple[bool, dict[str, float]]:
            reported[epoch] = score
            return False, rungs

    def find(folder: Path, pruner: str, epochs: int) -> Recorder:
        lengths.append(epochs)
        return Recorder()

    monkeypatch.setattr("trainyard.sweeps.pruning.JobPruner.find", find)
    cfg = compose_run(*COMMON, SECOND, "trainer.max_epochs=null", "+trainer.max_steps=23", "sweep.pruner=hyperband")
    train(cfg)
    scores = [float(row["val/acc"]) for row in table(Path(cfg.run.dir)) if row["val/acc"]]
    assert lengths == [5], "the last has three steps"
    assert reported == dict(zip([2, 4, 5], scores, strict=True))


@pytest.mark.parametrize(
    ("words", "text", "epochs"),
    [
        (["trainer.max_epochs=1"], "1 epoch", 1),
        (["trainer.max_epochs=3", STEPS], "3 epochs or 13 steps", 3),
        (["trainer.max_epochs=null", STEPS], "13 steps", math.inf),
        (["trainer.max_epochs=null", "+trainer.max_time=00:00:07:00", "scheduler=plateau"], "00:00:07:00", None),
        (["trainer.max_epochs=-1", "callbacks=early_stopping", "scheduler=constant"], "no limit", None),
    ],
)
def test_length_text_and_planned_epochs(
    compose_run: Compose, words: list[str], text: str, epochs: float | None
) -> None:
    cfg, job = compose_run(*words), Job(0, words, Path())
    assert format_length(cfg) == text
    if epochs is not None:
        assert group_by_cost([job], [cfg]) == [[(job, epochs)]]
        return
    for action in (lambda: group_by_cost([job], [cfg]), lambda: simulate_rates(cfg)):
        with pytest.raises(ConfigError, match="not known in advance"):
            action()


@pytest.mark.parametrize(("objective", "choose"), [("val/acc", max), ("val/loss", min)])
def test_plateau_follows_the_objective(
    compose_run: Compose, objective: str, choose: Callable[[list[float]], float]
) -> None:
    cfg = compose_run(*COMMON, "trainer.max_epochs=4", "scheduler=plateau", f"objective={objective}")
    train(cfg)
    folder = Path(cfg.run.dir)
    [schedule] = checkpoint(folder, "last.ckpt")["lr_schedulers"]
    scores = [float(row[objective]) for row in table(folder) if row[objective]]
    assert len(scores) == 4
    assert schedule["best"] == pytest.approx(choose(scores), abs=1e-6)
