"""What keeping checkpoints costs a training: `python scripts/benchmark_checkpoints.py [--rounds N]`.

Trains with the default checkpoints and with those of the first and the last epoch alone, in turn, in this process,
and prints the medians of the seconds from the first step to the end of the last epoch, and their ratio.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch

from trainyard.config.composition import compose
from trainyard.run.training import train

COMMON = ["callbacks=none", "logger=csv", "+callbacks.clock._target_=__main__.Clock"]
RUNS = {
    "mlp, digits, 150 epochs of 20 steps": ["model=mlp", "trainer.max_epochs=150"],
    "cnn, shapes, 10 epochs of 33 steps": ["model=cnn", "data=shapes", "trainer.max_epochs=10"],
    "resnet18 (128 MiB a checkpoint), shapes, 3 epochs of 66 steps": [
        *("model=transfer", "model.backbone=resnet18", "model.weights=none", "model.image_size=32", "finetune=full"),
        *("data=shapes", "data.batch_size=32", "trainer.max_epochs=3"),
    ],
}
save = L.Trainer.save_checkpoint


class Clock(L.Callback):
    """Takes the seconds of the training."""

    seconds = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start."""
        self.began = time.perf_counter()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop."""
        Clock.seconds = time.perf_counter() - self.began


def save_at_the_end(trainer: L.Trainer, *arguments: Any, **options: Any) -> None:
    """Save in the last epoch alone, and in the first, since the best of all is tested."""
    if trainer.current_epoch in (0, (trainer.max_epochs or 0) - 1):
        save(trainer, *arguments, **options)


def seconds_of(words: list[str], default: bool) -> float:
    """Return how long a training takes."""
    L.Trainer.save_checkpoint = save if default else save_at_the_end  # type: ignore[assignment, method-assign]
    with tempfile.TemporaryDirectory() as folder:
        train(compose([f"hydra.run.dir={Path(folder, 'run')}", *COMMON, *words]))
    return Clock.seconds


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--accelerator", default="cpu")
    options = parser.parse_args()
    lines = [f"{torch.get_num_threads()} threads, {options.accelerator}, medians of {options.rounds} rounds in turn"]
    for name, words in RUNS.items():
        words = [*words, f"accelerator={options.accelerator}"]
        taken: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(options.rounds):
            for default in (True, False):
                taken[default].append(seconds_of(words, default))
        with_them, without = (statistics.median(taken[default]) for default in (True, False))
        lines.append(f"{name}: {with_them:.2f} s with, {without:.2f} s without: {with_them / without:.3f}x")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
