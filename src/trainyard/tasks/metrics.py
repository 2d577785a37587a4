"""Metrics by name: their construction from configs, and their values for all outputs of an epoch."""

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from trainyard.config.composition import instantiate, load_options
from trainyard.io.errors import config_error, join_limited

if TYPE_CHECKING:
    from trainyard.tasks.task import Task

DOMAINS = ("classification", "regression")
TRIED = 8  # made-up examples with which a metric is tried before the run


def build_metrics(configs: Mapping[str, Mapping[str, Any]], task: "Task") -> dict[str, Metric]:
    """Build the metrics that a task does not compute from sums itself.

    Raises:
        ConfigError: a metric does not fit the task, or has the name of one that the task computes.
    """
    metrics = {}
    for name, node in configs.items():
        if name in task.modes:
            if dict(node) != metric_options().get(name):
                problem = f"{type(task).__name__} computes another metric of this name"
                raise config_error(f"metrics.{name}", node.get("_target_"), problem, "another name")
            continue
        metric = try_metric(node, task)
        if isinstance(metric, Exception):
            options = metric_options().items()
            fitting = [name for name, node in options if isinstance(try_metric(node, task), Metric)]
            problem = f"no metric of {task.describe()} ({metric})"
            raise config_error("metrics", name, problem, f"{join_limited(fitting, 20)}, or a class of your own")
        metrics[name] = metric
    return metrics


def metric_options() -> dict[str, dict[str, Any]]:
    """Return the built-in metrics, options of `conf/metrics`, by name."""
    return {str(name): dict(node) for option in load_options("metrics").values() for name, node in option.items()}


def try_metric(node: Mapping[str, Any], task: "Task") -> Metric | Exception:
    """Build a metric and compute it for made-up examples; return the error if that is not possible."""
    outputs = torch.randn(TRIED, task.output_size, generator=torch.Generator().manual_seed(0))
    try:
        with quiet():
            check_domain(resolve_name(node["_target_"]), task.metric_domain)
            metric = build_metric(node, task.metric_arguments(node))
            value = metric(*task.metric_inputs(metric, task.predictions(outputs), task.example_targets(TRIED)))
        if not isinstance(value, Tensor) or value.ndim > 1:
            raise ValueError("its value is not a number, or one for each name of the target")
        metric.reset()
    except Exception as error:  # whatever the class of the metric raises
        cause: BaseException = error
        while cause.__cause__:
            cause = cause.__cause__
        return ValueError(str(cause).strip(": ").partition("\n")[0])
    return metric


def check_domain(metric_class: type, domain: str) -> None:
    """Raise a ValueError if a metric of torchmetrics is for classes instead of numbers, or the other way round."""
    package, _, module = metric_class.__module__.partition(".")
    found = module.partition(".")[0]
    if domain and package == "torchmetrics" and found in DOMAINS and found != domain:
        raise ValueError(f"it is a metric of {found}")


def build_metric(node: Mapping[str, Any], arguments: Mapping[str, Any]) -> Metric:
    """Build a metric from its config; the arguments are passed if its class accepts them and the config lacks them."""
    accepts = inspect.signature(resolve_name(node["_target_"])).parameters
    given = {name: value for name, value in arguments.items() if name in accepts and name not in node}
    metric: Metric = instantiate(OmegaConf.create(dict(node)), **given)
    return metric


def compute_metrics(task: "Task", predictions: Tensor, targets: Tensor) -> dict[str, float]:
    """Return the values of the metrics of a task for all examples of an epoch, by name.

    A metric with several values has one entry for each name of the target.
    """
    values: dict[str, float] = {}
    for name, metric in task.metrics.items():
        with quiet():
            value = metric.to(predictions.device)(*task.metric_inputs(metric, predictions, targets))
        metric.reset()
        if value.ndim:
            names = task.target.names if len(value) == len(task.target.names) else range(len(value))
            values |= {f"{name}_{part}": number for part, number in zip(names, value.tolist(), strict=True)}
        else:
            values[name] = float(value)
    return values


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings of torchmetrics, such as about classes without examples; the value is then nan or 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def gather_examples(batches: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return outputs and targets of the examples of all processes."""
    outputs, targets = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.cat(gather_all_tensors(outputs)), torch.cat(gather_all_tensors(targets))
    return outputs, targets
