"""Many settings of a head on kept features, beside one run: `python scripts/benchmark_stacked_heads.py`.

Learning rates x weight decays x seeds on the features of a frozen backbone, as a stacked sweep, and one such run, in
turn, each a process from its start to its end; the features are there already. The backbone has random weights, from
a file. Prints medians and their ratio, and what the checkpoints take, each of which holds the backbone.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATES, DECAYS, SEEDS = "0.0003,0.001,0.003,0.01", "0,0.001,0.01,0.1", "0,1,2,3"
GRID = (f"optimizer.lr={RATES}", f"optimizer.weight_decay={DECAYS}", f"seed={SEEDS}")
MIB = 2**20


def seconds_of(words: list[str], folder: Path) -> float:
    """Return the seconds of a run or a sweep, as a process."""
    environment = {**os.environ, "TRAINYARD_CACHE": str(folder / "cache")}
    started = time.perf_counter()
    command = [sys.executable, "-m", "trainyard", *words]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def write_backbone(name: str, file: Path) -> None:
    """Write the random weights of a backbone."""
    import timm
    import torch

    torch.save(timm.create_model(name, num_classes=0).state_dict(), file)


def size_of(folder: Path, pattern: str) -> float:
    """Return how many MiB the files take."""
    return sum(file.stat().st_size for file in folder.glob(pattern)) / MIB


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--slots", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_backbone(asked.backbone, folder / "backbone.pt")
        words = ["model=transfer", f"model.backbone={asked.backbone}", "model.weights=backbone.pt", "optimizer=adamw"]
        words += ["data=shapes", f"data.count={asked.images}", "model.image_size=64"]
        words += [f"trainer.max_epochs={asked.epochs}"]
        stacked = ["-m", *words, *GRID, "hydra/launcher=stacked", f"hydra.launcher.slots={asked.slots}"]
        seconds_of(words, folder)  # computes the features
        one, many = [], []
        for number in range(asked.rounds):
            one.append(seconds_of([*words, f"hydra.run.dir=run{number}"], folder))
            many.append(seconds_of([*stacked, f"sweep.name=sweep{number}"], folder))
        jobs = len(list(folder.glob("outputs/sweeps/sweep0/*/result.json")))
        mib = size_of(folder, "outputs/sweeps/sweep0/*/checkpoints/*.ckpt")
    print(f"{asked.backbone}, {asked.images} images, {asked.epochs} epochs, medians of {asked.rounds} rounds")
    print(f"one run                  {statistics.median(one):>8.1f} s")
    print(f"{jobs} settings, stacked     {statistics.median(many):>8.1f} s")
    ratio = statistics.median(many_ / one_ for one_, many_ in zip(one, many, strict=True))
    print(f"ratio                    {ratio:>8.2f}")
    print(f"a job's two checkpoints hold the backbone, {mib / jobs:.1f} MiB; together {mib:.0f} MiB")


if __name__ == "__main__":
    main()
