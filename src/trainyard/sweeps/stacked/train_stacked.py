"""Trains the jobs of a stack with one Trainer, then records each of them as a run."""

import gc
import logging
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig

from trainyard.callbacks.checkpoint_files import BEST, LAST, write_checkpoint
from trainyard.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from trainyard.callbacks.progress_bar import ProgressReporter
from trainyard.callbacks.validation_scores import ValidationScores
from trainyard.config.accepted import has_backbone
from trainyard.config.composition import instantiate
from trainyard.config.objective import Objective
from trainyard.config.task_option import choose_task
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import target_kind
from trainyard.models.supervised import SupervisedModel
from trainyard.run.loops import FitLoop
from trainyard.run.run import Run
from trainyard.run.run_builder import QUIET, build_data, build_loggers, build_model_to_train, build_parts
from trainyard.run.run_length import epoch_limit
from trainyard.run.summary import format_choices
from trainyard.run.training import finite_metrics, record_result, record_trained, report_data, result_of
from trainyard.sweeps.stacked.stacked_member import Member
from trainyard.sweeps.stacked.stacked_model import StackedModel
from trainyard.terminal.logs import log_to_screen

log = logging.getLogger(__name__)

PREDICTIONS = "trainyard.reports.validation_figures.ValidationPredictions"


def train_stacked(
    configs: Sequence[DictConfig],
    run: Callable[[int], object],
    on_end: Callable[[int, BaseException | None], None],
    interrupted: Callable[[], bool] = lambda: False,
) -> None:
    """Train the models of several jobs as a stack, then run each job, which only records its results.

    Args:
        configs: resolved configs of jobs that `group_stackable` has grouped; of all but the first only `seed`,
            `optimizer`, `scheduler` and `run.dir` are used.
        run: calls `trainyard.run.training.train` for the job with an index.
        on_end: called with the index of a job as soon as it has ended, and its error.
        interrupted: returns whether to stop after the epoch; single runs can resume the jobs then.
    """
    order = sorted(range(len(configs)), key=lambda index: configs[index].seed)
    started = time.monotonic()
    stack: StackedModel | Exception | None
    try:
        with log_to_screen():
            stack = train_models([configs[index] for index in order], interrupted)
    except Exception as error:
        stack = error
    seconds = time.monotonic() - started
    gc.freeze()  # the models stay until the exit: searching them for garbage during each job costs time
    for place, index in enumerate(order):
        recorded = record_trained.set(partial(record, stack, place, seconds) if stack else None)
        ending: BaseException | None = None
        try:
            run(index)
        except BaseException as error:  # also SystemExit, which ends this job only
            ending = error
        record_trained.reset(recorded)
        on_end(index, ending)


def train_models(configs: Sequence[DictConfig], interrupted: Callable[[], bool]) -> StackedModel | None:
    """Train and test the models of jobs that are sorted by seed; return `None` if their input layer is trained too."""
    first = configs[0]
    data = build_data(first)
    assert isinstance(data, DataModule)
    report_data(data)  # before features replace the images
    if any(column.embedded for column in data.spec.columns):
        log.info("not stacked: the embeddings of categories are trained too")
        return None
    choose_task(first, target_kind(data))
    members, objective = [], Objective.from_config(first)
    for cfg, model in zip(configs, build_models(configs, data), strict=True):
        selection = BestCheckpoint(Path(cfg.run.dir) / "checkpoints", objective, ValidationScores(objective.name))
        members.append(Member(model, cfg.seed, selection))
    callbacks = {type(callback): callback for callback in build_parts(first.callbacks)}
    stack = StackedModel(members, data, callbacks, interrupted)
    trainer: L.Trainer = instantiate(first.trainer, max_epochs=epoch_limit(first), **QUIET)
    trainer.fit_loop = FitLoop(trainer)
    trainer.fit(stack, data)
    if trainer.current_epoch == trainer.max_epochs:
        trainer.test(stack, data, verbose=False)
    return stack


def build_models(configs: Sequence[DictConfig], data: DataModule) -> list[SupervisedModel]:
    """Return the model of each job, with its own weights, optimizer and schedule; a frozen backbone is shared."""
    built: dict[int, Any] = {}
    models = []
    for cfg in configs:
        seed = configs[0].seed if has_backbone(configs[0]) else cfg.seed  # on which the weights depend
        if seed not in built:
            L.seed_everything(seed, verbose=False)
            built[seed] = build_model_to_train(configs[0], data)
        backbone = getattr(built[seed], "backbone", None)
        model = deepcopy(built[seed], {id(backbone): backbone})
        model.make_optimizer, model.make_scheduler = instantiate(cfg.optimizer), instantiate(cfg.scheduler)
        models.append(model)
    return models


def record(stack: StackedModel | Exception, place: int, seconds: float, cfg: DictConfig, run: Run) -> None:
    """Write the files of a run that has been trained in a stack, and set its result; raise its error."""
    if isinstance(stack, Exception):
        raise stack
    member, trainer, data, folder = stack.members[place], stack.trainer, stack.data, run.dir / "checkpoints"
    run.started -= seconds
    choose_task(cfg, target_kind(data))
    run.result = {"data": report_data(data)}
    log.info("%s", format_choices(cfg, data, member.model, trainer))
    log.info("stacked    with %d other jobs; the epochs are in metrics.csv", len(stack.members) - 1)
    run.begin_training(cfg)
    trainer.loggers = build_loggers(cfg)
    for logger in trainer.loggers:
        for step, row in member.rows:
            logger.log_metrics(row, step)
        logger.save()
    if member.error:
        raise member.error
    write_checkpoint(member.checkpoint(member.best), folder / BEST)
    write_checkpoint(last_checkpoint(stack, member, folder), folder / LAST)
    if trainer.current_epoch < epoch_limit(cfg):
        raise SystemExit(1)  # the run ends as interrupted
    for part in filter(None, cfg.callbacks.values()):
        if part["_target_"] == PREDICTIONS:
            instantiate(part).on_test_end(trainer, member.model.eval())
    metrics = finite_metrics(member.best.scores, cfg.objective) | finite_metrics(member.test)
    result = result_of(cfg, metrics, member.best.number + 1, trainer.current_epoch, data)
    record_result(cfg, run, trainer, member.model, result, member.curves())
    for logger in trainer.loggers:
        logger.finalize("success")


def last_checkpoint(stack: StackedModel, member: Member, folder: Path) -> dict[str, Any]:
    """Return the content of `last.ckpt` of a job in a folder, from which a single run can resume."""
    groups, optimizer = stack.own_groups(member), stack.optimizer
    [schedule] = stack.checkpoint["lr_schedulers"]
    own = {k: [v[place] for place in member.places] if isinstance(v, list) else v for k, v in schedule.items()}
    member.optimizer.state.update({p: optimizer.state[p] for group in groups for p in group["params"]})
    last, reporter = LastCheckpoint(folder), ProgressReporter(member.selection.scores)
    last.best_model_path = last.path
    reporter.curves, reporter.validation = member.curves(), member.last.scores
    callbacks: list[Any] = [member.selection.scores, reporter, member.selection, last]
    return {
        **member.checkpoint(member.last),
        "loops": stack.checkpoint["loops"],
        "optimizer_states": [member.optimizer.state_dict()],
        "lr_schedulers": [own],
        "callbacks": {callback.state_key: callback.state_dict() for callback in callbacks},
    }
