"""A sweep of heads on a frozen backbone, with its features kept and without: `python scripts/benchmark_transfer.py`.

Twelve heads (four learning rates, three weight decays) on a resnet18 at 64 pixels, 2,000 images, 10 epochs, beside one
pass of the backbone over all images; in rounds, of which it prints the medians. Each run is all that `train.py` does,
in one process; how much of that is training is a line of its own. Without the cache one of the twelve is run a round,
and counted twelve times.
"""

import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

import timm
import torch
from epoch_clock import timed_epochs

from trainyard.config.composition import compose
from trainyard.run.run_directory import read_result
from trainyard.run.training import train

ROUNDS, BATCH, IMAGES, SIZE, EPOCHS = 3, 128, 2000, 64, 10
HEADS = list(itertools.product((0.001, 0.003, 0.01, 0.03), (0.0, 0.001, 0.01)))
RUN = [
    "data=shapes", f"data.count={IMAGES}", f"data.image_size={SIZE}", f"data.batch_size={BATCH}", "optimizer=adamw",
    "model=transfer", "model.backbone=resnet18", f"model.image_size={SIZE}", f"trainer.max_epochs={EPOCHS}",
    "+callbacks.clock._target_=epoch_clock.Clock",
]  # fmt: skip
PASS, PLAIN, HEAD, TRAINING, SWEEP, UNCACHED = (
    "one pass of the backbone",
    "one pass, without channels_last, inference_mode",
    "12 heads, features there: training",
    "pass and training of 12 heads",
    "whole sweep of 12 runs, features kept",
    "whole sweep of 12 runs, features not kept",
)


def one_pass(images: torch.Tensor, tuned: bool) -> float:
    """Return the seconds of the backbone over all images; `tuned` in channels_last and inference mode."""
    net = timm.create_model("resnet18", num_classes=0).eval()
    if tuned:
        net.to(memory_format=torch.channels_last)
    started = time.perf_counter()
    with torch.inference_mode() if tuned else torch.no_grad():
        for part in images.split(BATCH * 4):
            net(part.float() / 255)
    return time.perf_counter() - started


def runs(heads: list[tuple[float, float]], folder: Path, *options: str) -> tuple[float, float]:
    """Train so many heads; return the seconds of all that, and those of their epochs alone."""
    in_epochs = 0.0
    started = time.perf_counter()
    for number, (lr, decay) in enumerate(heads):
        head = [f"optimizer.lr={lr}", f"optimizer.weight_decay={decay}", f"hydra.run.dir={folder / str(number)}"]
        with timed_epochs() as epochs:
            train(compose([*RUN, f"model.weights={folder.parent / 'resnet18.pt'}", *head, *options]))
        in_epochs += sum(epochs)
    return time.perf_counter() - started, in_epochs


def measure(folder: Path) -> dict[str, float]:
    """Return the seconds of each way, in one round."""
    images = torch.randint(0, 256, (IMAGES, 3, SIZE, SIZE), dtype=torch.uint8)
    seconds = {PASS: one_pass(images, tuned=True), PLAIN: one_pass(images, tuned=False)}
    os.environ["TRAINYARD_CACHE"] = str(folder / "cache")
    seconds[SWEEP], seconds[HEAD] = runs(HEADS, folder / "kept")
    seconds[TRAINING] = seconds[HEAD] + features_seconds(folder / "kept" / "0")
    one, _ = runs(HEADS[:1], folder / "not_kept", "callbacks.feature_cache=null")
    seconds[UNCACHED] = len(HEADS) * one
    return seconds


def features_seconds(run: Path) -> float:
    """Return what the first run of a sweep took for the features."""
    return float(read_result(run)["data"]["features"]["seconds"])


def main() -> None:
    """Print the medians, and ratios to one pass of the same round."""
    rounds = []
    for number in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as folder:
            torch.save(timm.create_model("resnet18").state_dict(), Path(folder) / "resnet18.pt")
            rounds.append(measure(Path(folder)))
        if number == 0:
            rounds.clear()  # imports, and what torch sets up once
    print(f"{f'medians of {ROUNDS} rounds':<50} {'seconds':>8} {'of a pass':>10}")
    for way in (PASS, PLAIN, HEAD, TRAINING, SWEEP, UNCACHED):
        seconds = statistics.median(times[way] for times in rounds)
        ratio = statistics.median(times[way] / times[PASS] for times in rounds)
        print(f"{way:<50} {seconds:>8.2f} {ratio:>10.2f}")
    gain = statistics.median(times[UNCACHED] / times[SWEEP] for times in rounds)
    print(f"without the cache the sweep takes {gain:.0f} times as long; {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
