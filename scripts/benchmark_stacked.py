"""Cost of many stacked networks relative to one: `python scripts/benchmark_stacked.py heads|networks`.

`heads` compares a sweep over 64 settings of a head, on the cached features of a frozen backbone with random weights,
with one run: medians of whole processes in interleaved rounds. `networks` compares the training of K = 256 stacked
networks with that of K = 1, without startup and files: `networks accelerator=gpu` on a GPU.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmark_helpers import Rounds, measure_rounds, median, median_ratio, process_times, time_call

GRID = ("optimizer.lr=0.0003,0.001,0.003,0.01", "optimizer.weight_decay=0,0.001,0.01,0.1", "seed=0,1,2,3")
NETWORKS = 256


def measure_heads(folder: Path, overrides: Sequence[str], slots: int, number: int) -> dict[str, float]:
    """Return wall and CPU seconds of one run and of the sweep; the cache of features is in `folder`."""
    shared = ["model=transfer", "model.weights=backbone.pt", "model.image_size=64", "optimizer=adamw", "data=shapes"]
    launcher = ["hydra/launcher=stacked", f"hydra.launcher.slots={slots}", f"sweep.name=sweep{number}"]
    commands = {"one": [f"hydra.run.dir=run{number}"], "many": ["-m", *GRID, *launcher]}
    found = {}
    for name, words in commands.items():
        command = ["-m", "trainyard", *words, *shared, *overrides]
        found[name], found[f"{name} (CPU)"] = process_times(command, folder, TRAINYARD_CACHE=str(folder / "cache"))
    return found


def heads(args: argparse.Namespace) -> Rounds:
    """Measure the sweep over heads."""
    import timm
    import torch

    words = [f"model.backbone={args.backbone}", "data.count=3000", *args.overrides]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        torch.save(timm.create_model(args.backbone, num_classes=0).state_dict(), folder / "backbone.pt")
        _, *rounds = [measure_heads(folder, words, args.slots, number) for number in range(args.rounds + 1)]
    return rounds


def train_seconds(networks: int, overrides: Sequence[str]) -> float:
    """Return the seconds of a training of stacked networks with different learning rates."""
    from trainyard.config.composition import compose
    from trainyard.sweeps.stacked.train_stacked import train_models

    rates = [f"optimizer.lr={0.001 * (1 + place / networks)}" for place in range(networks)]
    configs = [compose(["trainer.max_epochs=10", rate, *overrides]) for rate in rates]
    return time_call(lambda: train_models(configs, lambda: False))


def networks(args: argparse.Namespace) -> Rounds:
    """Measure the training of one and of many networks."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        train_seconds(1, args.overrides)  # the first use of a device takes longer
        variants = {
            "one": lambda: train_seconds(1, args.overrides),
            "many": lambda: train_seconds(NETWORKS, args.overrides),
        }
        return measure_rounds(variants, args.rounds)


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=["heads", "networks"])
    parser.add_argument("overrides", nargs="*", help="overrides of all jobs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backbone", default="test_resnet")
    parser.add_argument("--slots", type=int, default=1)
    args = parser.parse_args()
    rounds = heads(args) if args.kind == "heads" else networks(args)
    for kind, unit in (("", "s"), (" (CPU)", "s of CPU time")):
        if f"one{kind}" in rounds[0]:
            one, many = (median(rounds, f"{name}{kind}") for name in ("one", "many"))
            ratio = median_ratio(rounds, f"many{kind}", f"one{kind}")
            print(f"{args.kind}: one {one:.1f}, many {many:.1f} {unit}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
