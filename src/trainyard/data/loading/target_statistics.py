"""Statistics of what is to be predicted: class weights, moments of numbers, counts, and the simplest prediction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainyard.data.loading.spec import Examples
from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.io.errors import config_error, join_limited

MAX_NAMES = 4  # in a summary
NUMBER_SCORES = ("rmse", "mae", "r2")
EVALUATED = {"val": "validation", "test": "test"}


def summarize_target(target: Target) -> str:
    """Return a target in a few words: `3 classes`, `1 number: price` or `5 labels`."""
    count = len(target.names)
    text = f"{count} {target.noun if count == 1 else target.nouns}"
    return f"{text}: {join_limited(target.names, MAX_NAMES)}" if isinstance(target, Numbers) else text


def fit_target(target: Target, values: Tensor, class_weights: str | Sequence[float] = "none") -> Target:
    """Return a target with the statistics of its values in training, `[N]` or `[N, T]`.

    Raises:
        ConfigError: class weights for another target than classes, or for other classes.
    """
    if isinstance(target, Classes):
        return replace(target, weights=compute_class_weights(class_weights, values, len(target.names)))
    if class_weights != "none":
        problem = f"weights classes, and the data has {summarize_target(target)}"
        raise config_error("data.class_weights", class_weights, problem, "none, or a target of classes")
    if isinstance(target, Labels):
        return target
    numbers = values.double().log() if target.transform == "log" else values.double()
    std, mean = torch.std_mean(numbers, dim=0, correction=0)
    std = torch.where(std > 0, std, 1.0)
    return replace(target, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def compute_class_weights(choice: str | Sequence[float], labels: Tensor, classes: int) -> tuple[float, ...]:
    """Return the weight of each class in the loss, 1 on average over the examples; empty for equal weights.

    The choice is `none`, `balanced`, or a number per class, of which only the ratios matter.
    """
    if choice == "none":
        return ()
    counts = labels.bincount(minlength=classes).double()
    weights = torch.where(counts > 0, 1 / counts, 0) if isinstance(choice, str) else torch.tensor(choice).double()
    if len(weights) != classes:
        accepted = f"one for each of the {classes} classes"
        raise config_error("data.class_weights", choice, f"{len(weights)} weights", accepted)
    mean = (weights * counts).sum() / counts.sum()
    if mean == 0:
        problem = "all examples have weight 0"
        raise config_error("data.class_weights", choice, problem, "a weight above 0 for a class with examples")
    return tuple((weights / mean).tolist())


def sampling_weights(values: Tensor, target: Target) -> Tensor:
    """Return weights with which each class or label is drawn equally often, float32 `[N]`.

    An example is drawn for each of its labels; those without labels are drawn as often as those with a certain label.

    Raises:
        ConfigError: the target is numbers.
    """
    if isinstance(target, Classes):
        return (1 / values.bincount().float())[values]
    if isinstance(target, Numbers):
        problem = f"draws classes equally often, and the data has {summarize_target(target)}"
        raise config_error("data.sampler", "balanced", problem, "shuffle")
    indicators = torch.cat([values, 1 - values.amax(dim=1, keepdim=True)], dim=1)  # the last one: without labels
    return indicators @ (1 / indicators.sum(dim=0).clamp(min=1))


def examples_of_each(values: Tensor, target: Classes | Labels) -> list[int]:
    """Return the number of examples of each class or label."""
    is_class = isinstance(target, Classes)
    counts = values.bincount(minlength=len(target.names)) if is_class else values.sum(dim=0).long()
    return list(counts.tolist())


def count_targets(values: Tensor, target: Target) -> dict[str, int]:
    """Return the number of classes, and of examples of the rarest and the most frequent class or label."""
    if isinstance(target, Numbers):
        return {}
    counts = [count for count in examples_of_each(values, target) if count or isinstance(target, Labels)]
    classes = {"classes": len(counts)} if isinstance(target, Classes) else {}
    return {**classes, "least": min(counts, default=0), "most": max(counts, default=0)}


def simplest_baseline(splits: Mapping[str, Examples], target: Target) -> dict[str, Any]:
    """Return the simplest prediction, and its scores in validation and test: `{"class": "no", "val/acc": 0.76, ...}`.

    It is the most frequent class, the mean of each number, or the labels that at least half of the examples have.
    """
    train, names = splits["train"].y, target.names
    prediction: dict[str, Any]
    score: Callable[[Tensor], dict[str, float]]
    if isinstance(target, Classes):
        most = train.bincount(minlength=len(names)).argmax()
        prediction, score = {"class": names[most]}, partial(class_accuracy, most)
    elif isinstance(target, Labels):
        common = train.mean(dim=0) >= 0.5
        prediction = {"labels": [name for name, is_common in zip(names, common, strict=True) if is_common]}
        score = partial(label_scores, common)
    else:
        mean = train.double().mean(dim=0)
        prediction, score = {"mean": mean.tolist()}, partial(number_scores, mean, names=names)
    scores = {split: score(splits[split].y) for split in EVALUATED}
    return prediction | {f"{split}/{name}": value for split, own in scores.items() for name, value in own.items()}


def class_accuracy(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Return the accuracy of predicting the same class for all examples `[N]`."""
    return {"acc": float((true == predicted).double().mean())}


def number_scores(predicted: Tensor, true: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Return the scores of numbers, `[N, T]` or the same `[T]` for all examples, as `Regression` names them."""
    true = true.double()
    weights = torch.ones(len(true), dtype=torch.float64)
    return name_number_scores(weighted_number_scores(predicted - true, true, weights), names)


def weighted_number_scores(errors: Tensor, true: Tensor, weights: Tensor) -> Tensor:
    """Return rmse, mae and R² of each number, after their means over the numbers, float64 `[3 * (1 + T)]`.

    Args:
        errors, true: float64 `[N, T]`.
        weights: how often each example counts, float64 `[N]`.
    """
    shares = weights / weights.sum()
    mse, mae = shares @ errors.square(), shares @ errors.abs()
    variance = shares @ (true - shares @ true).square()
    own = torch.stack([mse.sqrt(), mae, torch.where(variance > 0, 1 - mse / variance, 0.0)])  # [3, T]
    return torch.cat([own.mean(dim=1, keepdim=True), own], dim=1).flatten()


def name_number_scores(values: Tensor, names: Sequence[str]) -> dict[str, float]:
    """Return the values of `weighted_number_scores` by name; those of each number only if there are several."""
    columns = ["", *(f"_{name}" for name in names)] if len(names) > 1 else [""]
    rows = values.view(len(NUMBER_SCORES), -1).T.tolist()
    pairs = ((column, zip(NUMBER_SCORES, row, strict=True)) for column, row in zip(columns, rows, strict=False))
    return {f"{score}{column}": value for column, row in pairs for score, value in row}


def label_scores(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """Return the scores of predicting the same labels `[L]` for all examples `[N, L]`, as `MultiLabel` names them."""
    true = true > 0.5
    hits, present = (true & predicted).sum(dim=0).double(), true.sum(dim=0).double()
    total = predicted * len(true) + present
    each = torch.where(total > 0, 2 * hits / total, 0)
    micro = 2 * hits.sum() / total.sum().clamp(min=1)
    exact = (true == predicted).all(dim=1).double().mean()
    return {"f1": float(micro), "f1_macro": float(each.mean()), "acc": float(exact)}


def missing_target_warnings(splits: Mapping[str, Examples], target: Target) -> list[str]:
    """Return a warning if validation or test examples lack classes or labels of the training examples."""
    if isinstance(target, Numbers):
        return []
    counts = {name: examples_of_each(part.y, target) for name, part in splits.items()}
    metric = "acc" if isinstance(target, Classes) else "f1_macro"
    warnings = []
    for name, split in EVALUATED.items():
        pairs = zip(target.names, counts["train"], counts[name], strict=True)
        if missing := [f"{label} ({train})" for label, train, other in pairs if train and not other]:
            text = f"{split} has no examples of these {target.nouns} (training examples): {join_limited(missing)}"
            warnings.append(f"{text}\n  {name}/{metric} does not measure them")
    return warnings


def check_target(values: Tensor, target: Target, sampler: str) -> None:
    """Raise a ConfigError if training examples lack a label, or if the sampler does not fit the target."""
    if sampler == "balanced":
        sampling_weights(values, target)
    if isinstance(target, Labels):
        pairs = zip(target.names, examples_of_each(values, target), strict=True)
        if absent := [name for name, count in pairs if not count]:
            problem = "no training example has the label"
            raise config_error("data.target", join_limited(absent), problem, "labels that occur in several examples")
