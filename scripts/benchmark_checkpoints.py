"""Cost of checkpoints in training time: `python scripts/benchmark_checkpoints.py [--rounds N]`.

Trains with the default checkpoints, and with checkpoints in the first and last epoch only. Prints medians of the
seconds from the first step to the end of the last epoch in interleaved rounds, and their ratio.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from benchmark_helpers import EPOCH_TIMER, measure_rounds, median, time_epochs

from trainyard.config.composition import compose
from trainyard.run.training import train

COMMON = ["callbacks=none", "logger=csv", EPOCH_TIMER]
RUNS = {
    "mlp, digits, 150 epochs of 20 steps": ["model=mlp", "trainer.max_epochs=150"],
    "cnn, shapes, 10 epochs of 33 steps": ["model=cnn", "data=shapes", "trainer.max_epochs=10"],
    "resnet18 (128 MiB per checkpoint), shapes, 3 epochs of 66 steps": [
        *("model=transfer", "model.backbone=resnet18", "model.weights=none", "model.image_size=32", "finetune=full"),
        *("data=shapes", "data.batch_size=32", "trainer.max_epochs=3"),
    ],
}
save_checkpoint = L.Trainer.save_checkpoint


def save_first_and_last(trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
    """Save a checkpoint in the last epoch, and in the first one, because the best checkpoint is tested."""
    if trainer.current_epoch in (0, (trainer.max_epochs or 0) - 1):
        save_checkpoint(trainer, *args, **kwargs)


def training_seconds(overrides: list[str], save: Any) -> float:
    """Return the duration of a training with a replaced `Trainer.save_checkpoint`."""
    L.Trainer.save_checkpoint = save  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder, time_epochs() as epochs:
        train(compose([f"hydra.run.dir={Path(folder, 'run')}", *COMMON, *overrides]))
    return sum(epochs)


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--accelerator", default="cpu")
    args = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {args.accelerator}, medians of {args.rounds} interleaved rounds")
    for name, run in RUNS.items():
        overrides = [*run, f"accelerator={args.accelerator}"]
        variants = {
            "default": partial(training_seconds, overrides, save_checkpoint),
            "few": partial(training_seconds, overrides, save_first_and_last),
        }
        rounds = measure_rounds(variants, args.rounds)
        default, few = median(rounds, "default"), median(rounds, "few")
        print(f"{name}: {default:.2f} s with checkpoints, {few:.2f} s without: {default / few:.3f}x", flush=True)


if __name__ == "__main__":
    main()
