"""What each ingredient of `experiment=cifar10` gives: `python scripts/ablate_cifar.py FOLDER [OVERRIDE ...]`.

FOLDER contains `train/<class>/` and `test/<class>/`. Trains the experiment, and then without each ingredient or with
another one, with three seeds, and prints mean and standard deviation of the test accuracy, and the differences. Runs
that exist in outputs/ablation/ are not repeated. The overrides, such as trainer.max_epochs=6, apply to all.
"""

import argparse
import re
import statistics
from pathlib import Path

from trainyard.config.composition import compose
from trainyard.run.run_directory import read_result
from trainyard.run.training import train
from trainyard.terminal.tables import table

OUT = Path("outputs") / "ablation"
ADAMW = ["optimizer=adamw", "optimizer.lr=0.003", "~optimizer.momentum"]
CHANGES = {
    "the recipe": [],
    "trained first layer": ["model.whiten=false"],
    "batches of 512": ["data.default_batch_size=512", "optimizer.lr=0.75"],
    "random flips": ["augment.alternate_flips=false"],
    "no flips": ["augment.alternate_flips=false", "augment.flip=0"],
    "no shifts": ["augment.crop=0"],
    "black borders": ["augment.border=black"],
    "no label smoothing": ["model.label_smoothing=0"],
    "biases at the rate of weights": ["model.bias_lr_factor=1"],
    "no Nesterov momentum": ["optimizer.nesterov=false"],
    "AdamW": [*ADAMW, "model.bias_lr_factor=1"],
    "Muon": ["optimizer=muon", "optimizer.lr=0.01", "model.bias_lr_factor=1"],
    "one_cycle": ["scheduler=one_cycle", "~scheduler.warmup_fraction"],
    "cnn with AdamW": ["model=cnn", "model.channels=[32,128,256]", "~model.bias_lr_factor", *ADAMW],
    "moving average": ["ema_decay=0.99"],
    "one view": ["model.evaluation_views=1"],
    "mirrored views": ["model.evaluation_views=2"],
    "float32": ["trainer.precision=32-true"],
}


def accuracy(root: Path, name: str, overrides: list[str], seed: int) -> tuple[float, float]:
    """Return test accuracy and seconds of a run, which is trained unless it exists."""
    common, change = (re.sub(r"[^\w.-]+", "-", text) for text in (" ".join(overrides) or "full", name))
    folder = OUT / common / change / str(seed)
    if read_result(folder).get("status") != "completed":
        words = [
            "experiment=cifar10",
            f"data.root={root}",
            *CHANGES[name],
            *overrides,
            f"seed={seed}",
            f"hydra.run.dir={folder}",
        ]
        train(compose(words))
    result = read_result(folder)
    return result["metrics"]["test/acc"], result["seconds"]


def main() -> None:
    """Train seed after seed, so that an interrupted study can be compared, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="FOLDER")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CHANGES), default=list(CHANGES), metavar="CHANGE")
    args = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in args.only}
    for seed in range(args.seeds):
        for name in args.only:
            results[name].append(accuracy(args.root, name, args.overrides, seed))
            print(name, seed, results[name][-1], flush=True)
    rows, base = [], statistics.mean(score for score, _ in results[args.only[0]])
    for name, runs in results.items():
        scores, seconds = zip(*runs, strict=True)
        mean, spread = statistics.mean(scores), statistics.stdev(scores) if len(scores) > 1 else 0.0
        rows.append((name, f"{mean:.4f} ± {spread:.4f}", f"{mean - base:+.4f}", f"{statistics.median(seconds):.0f}"))
    print(table(["change", "test accuracy", "difference", "seconds"], rows))


if __name__ == "__main__":
    main()
