"""The first layers of models, which normalise images and encode rows of tables: models accept raw inputs."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.statistics import one_where_zero


def input_layer(spec: DataSpec) -> nn.Module:
    """Return the first layer for raw examples; its statistics are those of the training examples."""
    if spec.kind == "rows":
        return EncodeColumns(spec.columns, spec.mean, spec.std)
    return Normalize(spec.mean, spec.std)


class Normalize(nn.Module):
    """Subtracts the mean and divides by the standard deviation of each channel, by 1 if the deviation is 0.

    `mean` and `std` have one number per channel, in units of the full range, 255.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        mean_, std_ = torch.tensor(mean), one_where_zero(torch.tensor(std))
        self.scale = nn.Buffer((1 / (255 * std_)).view(-1, 1, 1))
        self.shift = nn.Buffer((-mean_ / std_).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise images `[B, C, H, W]`, uint8 or float from 0 to 255; returns float."""
        return (x * self.scale).add_(self.shift)


class EncodeColumns(nn.Module):
    """Standardises numbers, fills and indicates missing ones; one-hot encodes or embeds categories.

    A cyclic part of a date becomes its sine and cosine, both 0 if it is missing. An unknown category is treated as
    missing if the training data has missing values in that column, and encoded as zeros otherwise. `mean` and `std` are
    used for numeric columns only.
    """

    def __init__(self, columns: Sequence[Column], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        places = range(len(columns))
        numeric = [place for place in places if not columns[place].levels and not columns[place].period]
        indicated = [order for order, place in enumerate(numeric) if columns[place].may_miss]
        periods = {place: columns[place].period for place in places if columns[place].period}
        one_hot = [place for place in places if columns[place].levels and not columns[place].embedded]
        widths = [len(columns[place].levels) + 1 for place in one_hot]
        self.embedded = [place for place in places if columns[place].embedded]
        self.embeddings = nn.ModuleList(embedding(columns[place]) for place in self.embedded)
        self.numeric = nn.Buffer(indices(numeric))
        self.medians = nn.Buffer(torch.tensor([columns[place].median for place in numeric]))
        self.mean = nn.Buffer(torch.tensor(mean)[numeric])
        self.scale = nn.Buffer(1 / torch.tensor(std)[numeric])
        self.indicated = nn.Buffer(indices(indicated))
        self.one_hot = nn.Buffer(indices(one_hot))
        self.offsets = nn.Buffer(indices([0, *widths]).cumsum(0)[:-1])
        self.zero_counts = nn.Buffer(torch.tensor([columns[place].may_miss for place in one_hot], dtype=torch.bool))
        # Not persistent, since the spec contains them: checkpoints from before dates were supported still load.
        self.cyclic = nn.Buffer(indices([*periods]), persistent=False)
        self.periods = nn.Buffer(torch.tensor([*periods.values()], dtype=torch.float32), persistent=False)
        # An exported program has no empty buffers, see `write_torch`, so their sizes are stored separately.
        self.numeric_width, self.indicated_width = len(numeric), len(indicated)
        self.cyclic_width, self.one_hot_width = 2 * len(periods), sum(widths)

    def forward(self, x: Tensor) -> Tensor:
        """Encode rows `[B, F]`, NaN for missing values; returns `[B, width]`."""
        parts: list[Tensor] = []  # empty parts are skipped: ONNX runtimes may not support empty tensors
        if self.numeric_width:
            numbers = x.index_select(1, self.numeric).to(self.scale.dtype)
            missing = numbers.isnan()
            numbers = torch.where(missing, self.medians, numbers)
            # Not x * scale - mean * scale, which cancels digits if the deviation is small beside the mean.
            parts.append((numbers - self.mean) * self.scale)
            if self.indicated_width:
                parts.append(missing.index_select(1, self.indicated).to(numbers))
        if self.cyclic_width:
            angles = 2 * math.pi * x.index_select(1, self.cyclic) / self.periods  # periods are exact in any precision
            circle = torch.cat([angles.sin(), angles.cos()], dim=1)
            parts.append(torch.where(circle.isnan(), 0.0, circle).to(self.scale.dtype))
        if self.one_hot_width:
            zeros = (parts[0] if parts else x).new_zeros(x.shape[0], self.one_hot_width)
            code = x.index_select(1, self.one_hot).nan_to_num(0).long()
            parts.append(zeros.scatter(1, code + self.offsets, ((code > 0) | self.zero_counts).to(zeros)))
        places = zip(self.embedded, self.embeddings, strict=True)
        parts += [embed(x[:, place].nan_to_num(0).long()) for place, embed in places]
        return torch.cat(parts, dim=1)


def indices(values: Sequence[int]) -> Tensor:
    """Return indices as a tensor, which may be empty."""
    return torch.tensor(values, dtype=torch.long)


def embedding(column: Column) -> nn.Embedding:
    """Return the embedding of a column; code 0 (missing) stays zero if the training data has no missing values."""
    return nn.Embedding(len(column.levels) + 1, column.embedding_width, padding_idx=None if column.may_miss else 0)
