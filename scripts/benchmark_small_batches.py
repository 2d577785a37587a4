"""Cost of short steps: `python scripts/benchmark_small_batches.py`.

Trains the mlp on the digits, with 40 steps of 32 examples in an epoch. Compares, in interleaved rounds:

- a hand-written loop over tensors in memory, which computes the same (normalisation, fused Adam, a schedule per step,
  loss and accuracy of training and validation);
- the same with a DataLoader and Adam's defaults, as in most tutorials;
- Trainyard, also without callbacks, and with Lightning's own training step.

Prints the median milliseconds per epoch and the ratio to the first loop.
"""

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from benchmark_helpers import EPOCH_TIMER, measure_rounds, median, median_ratio, print_table, time_epochs
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

from trainyard.config.composition import compose
from trainyard.data.sources.builtin import Digits
from trainyard.models.input_layers import Normalize
from trainyard.models.mlp import fully_connected
from trainyard.run.training import train

ROUNDS, EPOCHS, BATCH = 9, 12, 32
HAND, TUTORIAL, OURS = "hand-written loop", "hand-written loop, DataLoader", "trainyard"

Batches = Iterable[Sequence[Tensor]]


def hand_written() -> float:
    """Return the milliseconds per epoch of the hand-written loop."""
    return time_loop(lambda x, y: ((x[index], y[index]) for index in torch.randperm(len(y)).split(BATCH)), fused=True)


def tutorial() -> float:
    """Return the milliseconds per epoch of a hand-written loop with a DataLoader."""
    return time_loop(lambda x, y: DataLoader(TensorDataset(x, y), BATCH, shuffle=True))


def time_loop(batches: Callable[[Tensor, Tensor], Batches], **options: Any) -> float:
    """Return the milliseconds per epoch of a loop over batches, with options of Adam."""
    parts = {name: part.__getitems__([*range(len(part))]) for name, part in Digits(batch_size=BATCH).splits.items()}
    (x, y), (val_x, val_y) = parts["train"], parts["val"]
    net = nn.Sequential(Normalize([0.3], [0.4]), fully_connected(64, [256, 128], 10, "relu", 0.0))
    optimizer = torch.optim.Adam(net.parameters(), **options)
    schedule = LambdaLR(optimizer, lambda step: 1 - step / (EPOCHS * 40))
    seconds = []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        total, correct = torch.zeros(()), torch.zeros(())
        for inputs, targets in batches(x, y):
            logits = net(inputs)
            loss = F.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
            correct += (logits.argmax(1) == targets).sum()
        with torch.no_grad():
            logits = net(val_x)
            scores = [total, correct, F.cross_entropy(logits, val_y), (logits.argmax(1) == val_y).float().mean()]
        torch.stack(scores).tolist()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def trainyard(*overrides: str) -> float:
    """Return the milliseconds per epoch of a run."""
    gc.freeze()  # as train.py does
    fixed = ["data=digits", "model=mlp", f"data.batch_size={BATCH}", f"trainer.max_epochs={EPOCHS}", EPOCH_TIMER]
    with tempfile.TemporaryDirectory() as folder, time_epochs() as seconds:
        train(compose([*fixed, f"hydra.run.dir={Path(folder) / 'run'}", *overrides]))
    return 1000 * statistics.median(seconds)


def lightning_step() -> float:
    """Return the milliseconds per epoch of a run with Lightning's own training step."""
    with patch("trainyard.run.epoch_loop.find_obstacle", return_value="this benchmark requests it"):
        return trainyard()


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    variants: dict[str, Callable[[], float]] = {
        HAND: hand_written,
        TUTORIAL: tutorial,
        OURS: trainyard,
        f"{OURS}, callbacks=none": partial(trainyard, "callbacks=none"),
        f"{OURS}, Lightning's training step": lightning_step,
    }
    results = measure_rounds(variants, rounds)
    rows = [(name, f"{median(results, name):.1f}", f"{median_ratio(results, name, HAND):.2f}") for name in variants]
    print_table(f"digits, batches of {BATCH}: medians of {rounds} rounds", ["ms/epoch", "ratio"], rows)


if __name__ == "__main__":
    main()
