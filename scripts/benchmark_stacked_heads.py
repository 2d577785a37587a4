"""Speed of a stacked sweep over a head, compared with one run: `python scripts/benchmark_stacked_heads.py`.

The sweep varies learning rate, weight decay and seed on the cached features of a frozen backbone with random weights.
Prints medians of whole processes in interleaved rounds, their ratio, and the size of the checkpoints, each of which
contains the backbone.
"""

import argparse
import tempfile
from pathlib import Path

from benchmark_helpers import median, median_ratio, time_python

RATES, DECAYS, SEEDS = "0.0003,0.001,0.003,0.01", "0,0.001,0.01,0.1", "0,1,2,3"
GRID = (f"optimizer.lr={RATES}", f"optimizer.weight_decay={DECAYS}", f"seed={SEEDS}")


def write_backbone(name: str, file: Path) -> None:
    """Write the random weights of a backbone."""
    import timm
    import torch

    torch.save(timm.create_model(name, num_classes=0).state_dict(), file)


def measure(args: argparse.Namespace, folder: Path, number: int) -> dict[str, float]:
    """Return the seconds of one run and of the stacked sweep; the cache of features is in `folder`."""
    overrides = ["model=transfer", f"model.backbone={args.backbone}", "model.weights=backbone.pt", "optimizer=adamw"]
    overrides += ["data=shapes", f"data.count={args.images}", "model.image_size=64"]
    overrides += [f"trainer.max_epochs={args.epochs}"]
    one = [*overrides, f"hydra.run.dir=run{number}"]
    launcher = ["hydra/launcher=stacked", f"hydra.launcher.slots={args.slots}"]
    sweep = ["-m", *overrides, *GRID, *launcher, f"sweep.name=sweep{number}"]
    cache = str(folder / "cache")
    return {
        "one run": time_python(["-m", "trainyard", *one], folder, TRAINYARD_CACHE=cache),
        "sweep": time_python(["-m", "trainyard", *sweep], folder, TRAINYARD_CACHE=cache),
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
        _, *rounds = [measure(args, folder, number) for number in range(args.rounds + 1)]  # the first computes features
        jobs = len(list(folder.glob("outputs/sweeps/sweep0/*/result.json")))
        files = folder.glob("outputs/sweeps/sweep0/*/checkpoints/*.ckpt")
        mib = sum(file.stat().st_size for file in files) / 2**20
    print(f"{args.backbone}, {args.images} images, {args.epochs} epochs, medians of {args.rounds} rounds")
    print(f"one run                  {median(rounds, 'one run'):>8.1f} s")
    print(f"{jobs} settings, stacked     {median(rounds, 'sweep'):>8.1f} s")
    print(f"ratio                    {median_ratio(rounds, 'sweep', 'one run'):>8.2f}")
    print(f"the two checkpoints of a job contain the backbone: {mib / jobs:.1f} MiB per job, {mib:.0f} MiB in total")


if __name__ == "__main__":
    main()
