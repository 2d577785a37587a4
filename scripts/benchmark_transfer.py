"""Cost of a sweep over heads on a frozen backbone, with and without cached features.

`python scripts/benchmark_transfer.py` trains twelve heads (four learning rates, three weight decays) on a resnet18 at
64 pixels, 2,000 images, 10 epochs, and compares them with one pass of the backbone over all images. Prints medians of
interleaved rounds. Each head is a complete run of `train.py` in one process; the training alone is a separate row.
Without the cache, one of the twelve runs is measured per round, and its time is multiplied by twelve.
"""

import itertools
import os
import tempfile
import time
from pathlib import Path

import timm
import torch
from benchmark_helpers import EPOCH_TIMER, median, median_ratio, print_table, time_call, time_epochs

from trainyard.config.composition import compose
from trainyard.run.run_directory import read_result
from trainyard.run.training import train

ROUNDS, BATCH, IMAGES, SIZE, EPOCHS = 3, 128, 2000, 64, 10
HEADS = list(itertools.product((0.001, 0.003, 0.01, 0.03), (0.0, 0.001, 0.01)))
RUN = [
    "data=shapes", f"data.count={IMAGES}", f"data.image_size={SIZE}", f"data.batch_size={BATCH}", "optimizer=adamw",
    "model=transfer", "model.backbone=resnet18", f"model.image_size={SIZE}", f"trainer.max_epochs={EPOCHS}",
    EPOCH_TIMER,
]  # fmt: skip
PASS = "one pass of the backbone"
UNTUNED_PASS = "one pass, without channels_last, inference_mode"
HEAD_TRAINING = "training of 12 heads on cached features"
PASS_AND_TRAINING = "one pass and training of 12 heads"
CACHED_SWEEP = "whole sweep of 12 runs, cached features"
UNCACHED_SWEEP = "whole sweep of 12 runs, no cache"


def one_pass(images: torch.Tensor, tuned: bool) -> float:
    """Return the seconds of the backbone for all images; `tuned` uses channels_last and inference mode."""
    net = timm.create_model("resnet18", num_classes=0).eval()
    if tuned:
        net.to(memory_format=torch.channels_last)

    def forward() -> None:
        with torch.inference_mode() if tuned else torch.no_grad():
            for part in images.split(BATCH * 4):
                net(part.float() / 255)

    return time_call(forward)


def train_heads(heads: list[tuple[float, float]], folder: Path, *overrides: str) -> tuple[float, float]:
    """Train heads on the backbone; return the seconds of the whole runs, and of their epochs."""
    total = training = 0.0
    for number, (lr, decay) in enumerate(heads):
        head = [f"optimizer.lr={lr}", f"optimizer.weight_decay={decay}", f"hydra.run.dir={folder / str(number)}"]
        weights = f"model.weights={folder.parent / 'resnet18.pt'}"
        with time_epochs() as epochs:
            start = time.perf_counter()
            train(compose([*RUN, weights, *head, *overrides]))
            total += time.perf_counter() - start
        training += sum(epochs)
    return total, training


def measure(folder: Path) -> dict[str, float]:
    """Return the seconds of each variant in one round."""
    os.environ["TRAINYARD_CACHE"] = str(folder / "cache")
    images = torch.randint(0, 256, (IMAGES, 3, SIZE, SIZE), dtype=torch.uint8)
    tuned, untuned = one_pass(images, tuned=True), one_pass(images, tuned=False)
    total, training = train_heads(HEADS, folder / "cached")
    features = float(read_result(folder / "cached" / "0")["data"]["features"]["seconds"])
    uncached, _ = train_heads(HEADS[:1], folder / "uncached", "callbacks.feature_cache=null")
    return {
        PASS: tuned,
        UNTUNED_PASS: untuned,
        HEAD_TRAINING: training,
        PASS_AND_TRAINING: training + features,
        CACHED_SWEEP: total,
        UNCACHED_SWEEP: len(HEADS) * uncached,
    }


def measure_in_new_folder() -> dict[str, float]:
    """Return the seconds of one round, with random weights of the backbone."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save(timm.create_model("resnet18").state_dict(), Path(folder) / "resnet18.pt")
        return measure(Path(folder))


def main() -> None:
    """Print the medians, and ratios to one pass of the same round."""
    measure_in_new_folder()  # warm-up: imports, and one-time initialisation of torch
    rounds = [measure_in_new_folder() for _ in range(ROUNDS)]
    rows = [(name, f"{median(rounds, name):.2f}", f"{median_ratio(rounds, name, PASS):.2f}") for name in rounds[0]]
    print_table(f"medians of {ROUNDS} rounds", ["seconds", "ratio to a pass"], rows)
    ratio = median_ratio(rounds, UNCACHED_SWEEP, CACHED_SWEEP)
    print(f"without the cache the sweep takes {ratio:.0f} times as long; {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
