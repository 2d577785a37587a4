"""Speed of a stacked sweep over a head, compared with one run: `python scripts/benchmark_stacked_heads.py`.

The sweep varies learning rate, weight decay and seed on the cached features of a frozen backbone with random weights.
Prints medians of whole processes in interleaved rounds, their ratio, and the size of the checkpoints, each of which
contains the backbone.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from benchmark_helpers import measure_rounds, median, median_ratio, time_python

RATES, DECAYS, SEEDS = "0.0003,0.001,0.003,0.01", "0,0.001,0.01,0.1", "0,1,2,3"
GRID = (f"optimizer.lr={RATES}", f"optimizer.weight_decay={DECAYS}", f"seed={SEEDS}")


def write_backbone(name: str, file: Path) -> None:
    """Write the random weights of a backbone."""
    import timm
    import torch

    torch.save(timm.create_model(name, num_classes=0).state_dict(), file)


def variants(args: argparse.Namespace, folder: Path) -> dict[str, Callable[[], float]]:
    """Return functions that time one run, and the stacked sweep; the cache of features is in `folder`."""
    overrides = ["model=transfer", f"model.backbone={args.backbone}", "model.weights=backbone.pt", "optimizer=adamw"]
    overrides += ["data=shapes", f"data.count={args.images}", "model.image_size=64"]
    overrides += [f"trainer.max_epochs={args.epochs}"]
    stacked = ["-m", *overrides, *GRID, "hydra/launcher=stacked", f"hydra.launcher.slots={args.slots}"]
    numbers = count()

    def measure(overrides: list[str], name: str) -> float:
        words = ["-m", "trainyard", *overrides, f"{name}{next(numbers)}"]
        return time_python(words, folder, TRAINYARD_CACHE=str(folder / "cache"))

    return {
        "one run": partial(measure, overrides, "hydra.run.dir=run"),
        "sweep": partial(measure, stacked, "sweep.name=sweep"),
    }


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--slots", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_backbone(args.backbone, folder / "backbone.pt")
        timers = variants(args, folder)
        timers["one run"]()  # computes the features
        rounds = measure_rounds(timers, args.rounds)
        sweep = max(folder.glob("outputs/sweeps/*"), key=lambda path: path.stat().st_mtime)
        jobs = len(list(sweep.glob("*/result.json")))
        mib = sum(file.stat().st_size for file in sweep.glob("*/checkpoints/*.ckpt")) / 2**20
    print(f"{args.backbone}, {args.images} images, {args.epochs} epochs, medians of {args.rounds} rounds")
    print(f"one run                  {median(rounds, 'one run'):>8.1f} s")
    print(f"{jobs} settings, stacked     {median(rounds, 'sweep'):>8.1f} s")
    print(f"ratio                    {median_ratio(rounds, 'sweep', 'one run'):>8.2f}")
    print(f"the two checkpoints of a job contain the backbone: {mib / jobs:.1f} MiB per job, {mib:.0f} MiB in total")


if __name__ == "__main__":
    main()
