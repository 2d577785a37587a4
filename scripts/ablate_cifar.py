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
from trainyard.history.find_run import find_run_and_checkpoint
from trainyard.history.stored_config import config_to_test
from trainyard.inference.evaluate import predict_test_split
from trainyard.inference.evaluation_data import load_model_and_data
from trainyard.run.run_directory import read_result
from trainyard.run.training import train
from trainyard.terminal.tables import table

OUT = Path("outputs") / "ablation"
SGD = ["optimizer=sgd", "optimizer.lr=0.75", "optimizer.momentum=0.85", "optimizer.weight_decay=0.0013"]
ADAMW = ["optimizer=adamw", "optimizer.lr=0.003", "~optimizer.momentum", "optimizer.weight_decay=0.05"]
RECIPE = "the recipe"
CHANGES = {
    RECIPE: [],
    "trained first layer": ["model.whiten=false"],
    "random flips": ["augment.alternate_flips=false"],
    "no shifts": ["augment.crop=0"],
    "no label smoothing": ["model.label_smoothing=0"],
    "Nesterov SGD": [*SGD, "model.bias_lr_factor=64"],
    "AdamW": [*ADAMW, "model.bias_lr_factor=1"],
    "biases at the rate of weights": ["model.bias_lr_factor=1"],
    "moving average": ["ema_decay=0.98"],
    "one_cycle": ["scheduler=one_cycle", "~scheduler.warmup_fraction", "scheduler.min_lr_factor=0"],
    "cnn": ["model=cnn", "model.channels=[32,128,256]", "~model.bias_lr_factor", "~model.evaluation_views", *ADAMW],
    "float32": ["trainer.precision=32-true"],
}
VIEWS = {"one view": 1, "two views": 2}  # evaluations of the recipe


def accuracy(root: Path, name: str, overrides: list[str], seed: int) -> tuple[float, float]:
    """Return test accuracy and seconds of a run, which is trained unless it exists."""
    change = RECIPE if name in VIEWS else name
    folder = OUT / slug(" ".join(overrides) or "full") / slug(change) / str(seed)
    if read_result(folder).get("status") != "completed":
        words = ["experiment=cifar10", f"data.root={root}", *CHANGES[change], *overrides, f"seed={seed}"]
        train(compose([*words, f"hydra.run.dir={folder}"]))
    result = read_result(folder)
    score = accuracy_of_views(folder, VIEWS[name]) if name in VIEWS else result["metrics"]["test/acc"]
    return score, result["seconds"]


def accuracy_of_views(folder: Path, views: int) -> float:
    """Return the test accuracy of a run with another number of views in the evaluation."""
    run, _ = find_run_and_checkpoint(str(folder))
    model, data = load_model_and_data(str(folder))
    model.evaluation_views = views
    _, scores = predict_test_split(model, data, config_to_test(run, []))
    return scores["test/acc"]


def slug(text: str) -> str:
    """Replace all characters except letters, digits, dots, hyphens and underscores by hyphens."""
    return re.sub(r"[^\w.-]+", "-", text)


def main() -> None:
    """Train seed after seed, so that an interrupted study can be compared, and print the table."""
    names = [RECIPE, *VIEWS, *list(CHANGES)[1:]]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, metavar="FOLDER")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="CHANGE")
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
