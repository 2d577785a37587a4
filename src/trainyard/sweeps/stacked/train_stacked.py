"""Trains the jobs of a stack with one Trainer, then records each of them as a run."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from omegaconf import DictConfig
from torch import Tensor

from trainyard.callbacks.checkpoint_files import BEST, LAST, write_checkpoint
from trainyard.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from trainyard.callbacks.finite_loss import FiniteLoss
from trainyard.callbacks.plain_values import plain_items
from trainyard.callbacks.progress_bar import ProgressReporter
from trainyard.callbacks.tensorboard_model import GradientNorm
from trainyard.callbacks.validation_scores import ValidationScores
from trainyard.config.composition import instantiate
from trainyard.config.objective import Objective
from trainyard.config.task_option import choose_task
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import target_kind
from trainyard.models.feature_cache import FeatureCache
from trainyard.models.supervised import SupervisedModel
from trainyard.models.transfer import TransferModel
from trainyard.run.loops import FitLoop
from trainyard.run.run import Run
from trainyard.run.run_builder import QUIET, build_loggers, build_parts, run_builder
from trainyard.run.run_length import epoch_limit
from trainyard.run.summary import format_choices
from trainyard.run.training import finite_metrics, record_result, record_trained, report_data, result_of
from trainyard.sweeps.stacked.stacked_loader import StackedLoader
from trainyard.sweeps.stacked.stacked_model import Epoch, Member, StackedModel

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
        configs: resolved configs of jobs that `group_stackable` has grouped.
        run: calls `trainyard.run.training.train` for the job with an index.
        on_end: called with the index of a job as soon as it has ended, and its error.
        interrupted: returns whether to stop after the epoch; the jobs can be resumed then.
    """
    order = sorted(range(len(configs)), key=lambda index: configs[index].seed)
    stack: Stack | Exception
    try:
        stack = Stack([configs[index] for index in order], interrupted)
        stack.train()
    except Exception as error:
        stack = error
    for place, index in enumerate(order):
        recorded = record_trained.set(partial(record, stack, place))
        ending: BaseException | None = None
        try:
            run(index)
        except BaseException as error:  # also SystemExit, which ends this job only
            ending = error
        record_trained.reset(recorded)
        on_end(index, ending)


class Stack:
    """Jobs that are trained together, with their data, model and Trainer.

    Args:
        configs: of the jobs, sorted by seed.
        interrupted: see `train_stacked`.
    """

    def __init__(self, configs: Sequence[DictConfig], interrupted: Callable[[], bool]) -> None:
        self.started = time.monotonic()
        first = configs[0]
        data = run_builder.data(first)
        assert isinstance(data, DataModule)
        for cfg in configs:
            choose_task(cfg, target_kind(data))
        models = build_models(configs, data)
        objective, callbacks = Objective.from_config(first), build_parts(first.callbacks)
        self.callbacks = {type(callback): callback for callback in callbacks}
        logged = {LearningRateMonitor: "lr", GradientNorm: "gradient/norm"}
        self.model = StackedModel(
            [Member(model, cfg.seed, objective) for model, cfg in zip(models, configs, strict=True)],
            data,
            [name for kind, name in logged.items() if kind in self.callbacks],
            models[0].largest_loss if FiniteLoss in self.callbacks else None,
            interrupted,
        )
        self.data = data
        self.data.train_dataloader = lambda: StackedLoader.for_seeds(data.loader("train"), self.model.seeds)  # type: ignore[method-assign]
        self.trainer: L.Trainer = instantiate(first.trainer, max_epochs=epoch_limit(first), **QUIET)
        self.trainer.fit_loop = FitLoop(self.trainer)

    def train(self) -> None:
        """Train all networks and test those that are not interrupted."""
        self.trainer.fit(self.model, self.data)
        self.model.to(self.trainer.strategy.root_device).eval()

    def best_checkpoint(self, place: int) -> dict[str, Any]:
        """Return the content of `best.ckpt` of a job."""
        best = self.model.members[place].best
        assert best is not None
        return self.checkpoint(place, best, self.model.best)

    def checkpoint(self, place: int, epoch: Epoch, weights: Sequence[Tensor]) -> dict[str, Any]:
        """Return a checkpoint from which the model of a job can be rebuilt, with its weights of an epoch."""
        model = self.model.members[place].model
        trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        values = {name: stack[place].cpu().clone() for name, stack in zip(trained, weights, strict=True)}
        version = "pytorch-lightning_version"
        content = {
            "epoch": epoch.number,
            "global_step": epoch.steps,
            version: self.model.checkpoint[version],
            "state_dict": {name: values.get(name, value.cpu()) for name, value in model.state_dict().items()},
            "hyper_parameters": plain_items(model.hparams),
            "model_class": f"{type(model).__module__}.{type(model).__qualname__}",
            "metrics": epoch.scores,
        }
        model.task.thresholds[:] = epoch.thresholds
        model.on_save_checkpoint(content)
        return content

    def last_checkpoint(self, place: int, folder: Path) -> dict[str, Any]:
        """Return the content of `last.ckpt` of a job in a folder, from which a single run can resume."""
        members, shared = self.model.members, self.model.checkpoint
        member = members[place]
        assert member.last is not None
        groups = member.optimizer.param_groups
        first = sum(len(other.optimizer.param_groups) for other in members[:place])
        schedule = {
            name: value[first : first + len(groups)] if isinstance(value, list) else value
            for name, value in shared["lr_schedulers"][0].items()
        }
        state = self.trainer.optimizers[0].state
        member.optimizer.state.update({p: state[p] for group in groups for p in group["params"]})
        return {
            **self.checkpoint(place, member.last, self.model.last),
            "loops": shared["loops"],
            "optimizer_states": [member.optimizer.state_dict()],
            "lr_schedulers": [schedule],
            "callbacks": callback_states(member, folder),
        }


def callback_states(member: Member, folder: Path) -> dict[str, Any]:
    """Return the states of the callbacks of a run, which compare the scores of a resumed run with those before."""
    assert member.last is not None
    assert member.best is not None
    scores = ValidationScores(member.objective.name)
    scores.latest = member.last.scores
    best, last, reporter = BestCheckpoint(folder, member.objective, scores), LastCheckpoint(folder), ProgressReporter(scores)
    best.best_model_path, last.best_model_path = best.path, last.path
    best.best_model_score = torch.tensor(member.best.scores[member.objective.name])
    best.current_score = torch.tensor(member.last.scores[member.objective.name])
    best.best_loss = member.best.scores.get("val/loss", math.inf)
    reporter.curves, reporter.validation = curves(member), member.last.scores
    return {callback.state_key: callback.state_dict() for callback in (scores, reporter, best, last)}


def build_models(configs: Sequence[DictConfig], data: DataModule) -> list[SupervisedModel]:
    """Return the model of each job, with its own weights, optimizer and schedule; a frozen backbone is shared."""
    built: dict[int, SupervisedModel] = {}
    models = []
    for cfg in configs:
        first = next(iter(built.values()), None)
        if isinstance(first, TransferModel):  # whose weights are those of its file, or of the only seed
            built[cfg.seed] = first
        elif cfg.seed not in built:
            L.seed_everything(cfg.seed, verbose=False)
            model = run_builder.model(cfg, data)
            assert isinstance(model, SupervisedModel)
            built[cfg.seed] = model
        backbone = getattr(built[cfg.seed], "backbone", None)
        own = deepcopy(built[cfg.seed], {id(backbone): backbone})
        own.make_optimizer, own.make_scheduler = instantiate(cfg.optimizer), instantiate(cfg.scheduler)
        models.append(own)
    return models


def record(stack: Stack | Exception, place: int, cfg: DictConfig, run: Run) -> None:
    """Write the files of a run that has been trained in a stack, and set its result; raise its error."""
    if isinstance(stack, Exception):
        raise stack
    member, trainer, data = stack.model.members[place], stack.trainer, stack.data
    run.started = stack.started
    choose_task(cfg, target_kind(data))
    run.result = {"data": report_data(data)}
    log.info("%s", format_choices(cfg, data, member.model, trainer))
    log.info("stacked    with %d other jobs, whose figures and epochs are not logged", len(stack.model.members) - 1)
    run.begin_training(cfg)
    trainer.loggers = build_loggers(cfg)
    for logger in trainer.loggers:
        for step, row in member.rows:
            logger.log_metrics(row, step)
        logger.save()
    if member.error:
        raise member.error
    write_checkpoint(stack.last_checkpoint(place, run.dir / "checkpoints"), run.dir / "checkpoints" / LAST)
    write_checkpoint(stack.best_checkpoint(place), run.dir / "checkpoints" / BEST)
    epochs = trainer.current_epoch
    if epochs < epoch_limit(cfg):
        raise SystemExit(1)  # the run ends as interrupted
    assert member.best is not None
    for part in filter(None, cfg.callbacks.values()):
        if part["_target_"] == PREDICTIONS:
            instantiate(part).on_test_end(trainer, member.model)
    metrics = finite_metrics(member.best.scores, cfg.objective) | finite_metrics(member.test)
    result = result_of(cfg, metrics, member.best.number + 1, epochs, data)
    record_result(cfg, run, trainer, member.model, result, curves(member))
    for logger in trainer.loggers:
        logger.finalize("success")


def curves(member: Member) -> dict[str, list[float]]:
    """Return the scores of all epochs by name."""
    found: dict[str, list[float]] = {}
    for _, row in member.rows:
        for name, value in row.items():
            if name.startswith(("train/", "val/")):
                found.setdefault(name, []).append(value)
    return found
