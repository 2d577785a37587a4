"""The metrics of an unfinished epoch: those of torchmetrics in a model, and the values that it has logged."""

from collections.abc import Mapping
from typing import Any

import lightning as L
from torch import Tensor
from torchmetrics import Metric, MetricCollection


def get_metrics(model: L.LightningModule) -> dict[str, dict[str, Any]]:
    """Return a copy of the states of all metrics of torchmetrics in a model, by name, as primitives and tensors."""
    modules = dict(model.named_modules())
    for module in modules.values():
        if isinstance(module, MetricCollection):
            module.values(copy_state=False)  # copies the state of a group of metrics to all its members
    return {name: copy_state(module) for name, module in modules.items() if isinstance(module, Metric)}


def copy_state(metric: Metric) -> dict[str, Any]:
    """Return a copy of the numbers, tensors and lists of tensors among the attributes of a metric."""
    state: dict[str, Any] = {}
    for name, value in vars(metric).items():
        if isinstance(value, Tensor):
            state[name] = value.detach().clone()
        elif isinstance(value, list) and all(isinstance(item, Tensor) for item in value):
            state[name] = [item.detach().clone() for item in value]
        elif type(value) in (int, float):
            state[name] = value
    return state


def set_metrics(model: L.LightningModule, states: Mapping[str, Mapping[str, Any]]) -> None:
    """Restore the metrics of a model that it still has."""
    for name, module in model.named_modules():
        if isinstance(module, Metric) and name in states:
            moved = {key: move(value, model) for key, value in states[name].items()}
            vars(module).update(moved)


def move(value: Any, model: L.LightningModule) -> Any:
    """Return a value with its tensors on the device of the model."""
    if isinstance(value, list):
        return [item.to(model.device) for item in value]
    return value.to(model.device) if isinstance(value, Tensor) else value


def get_logged(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a model has logged in this epoch with `on_epoch=True`, as primitives and tensors.

    Args:
        results: Lightning's collection of logged values of the training loop.
    """
    entries = []
    for result in results.values():
        meta = result.meta
        if not meta.on_epoch or result.has_reset:
            continue
        names = ("fx", "name", "prog_bar", "logger", "on_step", "on_epoch", "add_dataloader_idx", "metric_attribute")
        entry = {name: getattr(meta, name) for name in (*names, "enable_graph")}
        entry |= {"reduce_fx": meta.reduce_fx.__name__, "rank_zero_only": meta.sync.rank_zero_only}
        entry["sync_dist"] = meta.sync.should
        state = {name: getattr(result, name) for name in ("value", "cumulated_batch_size") if hasattr(result, name)}
        entries.append({"options": entry, "state": state if result.is_tensor else {}})
    return entries


def set_logged(results: Any, entries: list[dict[str, Any]], trainer: L.Trainer) -> None:
    """Restore the logged values of an unfinished epoch; see `get_logged`.

    Lightning resets the values that a hook has logged earlier in the first batch of an epoch. For that it would take
    the first batch of a resumed run, so the first reset of each hook is skipped.
    """
    model, hooks = trainer.lightning_module, set()
    for entry in entries:
        options, state = entry["options"], {name: move(value, model) for name, value in entry["state"].items()}
        value = state["value"] if state else model.get_submodule(options["metric_attribute"])
        results.log(**options, value=value, batch_size=1, sync_dist_fn=trainer.strategy.reduce)
        vars(results[f"{options['fx']}.{options['name']}"]).update(state)
        hooks.add(options["fx"])
    reset = results.reset

    def skip_first(metrics: bool | None = None, fx: str | None = None) -> None:
        if fx not in hooks:
            reset(metrics, fx)
        hooks.difference_update([fx] if fx else set(hooks))

    results.reset = skip_first
