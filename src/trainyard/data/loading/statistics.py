"""Statistics and digests of examples: mean and standard deviation, class weights, majority baseline, fingerprint."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainyard.data.images.image_files import ImageFiles
from trainyard.data.loading.spec import Column, Examples, MappedRows
from trainyard.io.errors import config_error, join_limited

if TYPE_CHECKING:  # it imports Lightning
    from trainyard.data.loading.datamodule import DataModule

CHUNK = 4096  # images counted at a time; bounds the memory
FINGERPRINT_BYTES = 2**18  # of the inputs of a split that are hashed
DIGEST_SIZE = 16  # bytes


def mean_and_std(train: Examples, columns: Sequence[Column]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel of images or column of rows, float64 `[C]` or `[F]`."""
    if len(train.shape) == 1:
        assert isinstance(train.x, Tensor)
        return row_statistics(train.x, columns)
    assert not isinstance(train.x, MappedRows)
    return image_statistics(train.x)


def image_statistics(images: Tensor | ImageFiles) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, float64 `[C]` in units of the full range."""
    # Sums of integers are exact: the order of the images does not matter.
    sums = images.sums.sum(0) if isinstance(images, ImageFiles) else channel_sums(images)  # [C, 2]
    count, _, height, width = images.shape
    mean, square = (sums.double() / (count * height * width)).T
    return mean / 255, (square - mean.square()).clamp(min=0).sqrt() / 255


def channel_sums(images: Tensor) -> Tensor:
    """Return the sum of each channel's values and of their squares, uint8 `[N, C, H, W]` -> int64 `[C, 2]`."""
    values = torch.arange(256)
    powers = torch.stack([values, values.square()], dim=1)
    sums = torch.zeros(images.shape[1], 2, dtype=torch.int64)
    for part in images.split(CHUNK):
        for channel, pixels in enumerate(part.unbind(1)):
            sums[channel] += (pixels.flatten().bincount(minlength=256)[:, None] * powers).sum(0)
    return sums


def row_statistics(rows: Tensor, columns: Sequence[Column]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each column, float64 `[F]`, with missing values replaced by the median.

    A constant column has the deviation 1, a categorical one mean 0 and deviation 1.
    """
    medians = torch.tensor([column.median for column in columns], dtype=torch.float64)
    std, mean = torch.std_mean(torch.where(rows.isnan(), medians, rows.double()), dim=0, correction=0)
    categorical = torch.tensor([bool(column.levels) for column in columns])
    return torch.where(categorical, 0.0, mean), one_where_zero(torch.where(categorical, 0.0, std))


def one_where_zero(std: Tensor) -> Tensor:
    """Return the deviations with 0 replaced by 1, as divisors."""
    return torch.where(std > 0, std, 1.0)


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


def sampling_weights(labels: Tensor) -> Tensor:
    """Return weights with which each class is drawn equally often, float32 `[N]`."""
    return (1 / labels.bincount().float())[labels]


def majority_baseline(splits: Mapping[str, Examples], classes: Sequence[str]) -> dict[str, Any]:
    """Return the accuracy of the most frequent training class: `{"class": "no", "val/acc": 0.76, "test/acc": 0.76}`."""
    most = int(splits["train"].y.bincount(minlength=len(classes)).argmax())
    shares = {f"{name}/acc": float((splits[name].y == most).double().mean()) for name in ("val", "test")}
    return {"class": classes[most], **shares}


def missing_class_warnings(splits: Mapping[str, Examples], classes: Sequence[str]) -> list[str]:
    """Return a warning if validation or test examples lack classes of the training examples."""
    warnings = []
    counts = {name: part.y.bincount(minlength=len(classes)).tolist() for name, part in splits.items()}
    for name, split in (("val", "validation"), ("test", "test")):
        pairs = zip(classes, counts["train"], counts[name], strict=True)
        if missing := [f"{label} ({train})" for label, train, other in pairs if train and not other]:
            text = f"{split} has no examples of these classes (training examples): {join_limited(missing)}"
            warnings.append(f"{text}\n  {name}/acc does not measure them")
    return warnings


def fingerprint(data: "DataModule") -> dict[str, dict[str, Any]]:
    """Return counts and digests of each split, which reveal changes; the same for resident and streamed data.

    `least` and `most` count the examples of the rarest and the most frequent class. The digests are of all labels, and
    of 256 KiB of the inputs, evenly spaced.
    """
    splits = {}
    for name, part in data.splits.items():
        counts = [count for count in part.y.bincount().tolist() if count]
        inputs = data.fingerprint_inputs(part)
        size = inputs[:1].numel() * inputs.element_size()
        splits[name] = {
            "examples": len(part),
            "classes": len(counts),
            "least": min(counts, default=0),
            "most": max(counts, default=0),
            "labels": tensor_digest(part.y),
            "inputs": tensor_digest(inputs[:: max(1, -(-len(inputs) * size // FINGERPRINT_BYTES))]),
        }
    return splits


def tensor_digest(values: Tensor) -> str:
    """Return a digest of type, shape and bytes of a tensor."""
    values = values.cpu().contiguous()
    digest = hashlib.sha256(f"{values.dtype} {tuple(values.shape)}".encode())
    digest.update(values.numpy().data)
    return digest.hexdigest()[:16]


def example_digests(images: Tensor | ImageFiles) -> list[bytes]:
    """Return a digest of each image, or of its file if the images are not in memory."""
    if isinstance(images, ImageFiles):
        return [digest.tobytes() for digest in images.digests]
    return [hashlib.blake2b(row, digest_size=DIGEST_SIZE).digest() for row in images.contiguous().flatten(1).numpy()]
