"""Test accuracy of each fine-tuning plan with few images: `python scripts/transfer_study.py FOLDER BACKBONE WEIGHTS`.

FOLDER contains `train/<class>/` and `test/<class>/`, such as CIFAR-10 as JPEG files. For each seed, 20 or 100 images
per class are used for training and 20 more for selecting the epoch, drawn from the first 500 images of each class. The
test set has 100 images per class. Prints mean and standard deviation of the test accuracy over three seeds. Runs that
exist in outputs/transfer/ are not repeated.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from trainyard.config.composition import compose
from trainyard.run.run_directory import read_result
from trainyard.run.training import train

OUT = Path("outputs") / "transfer"
PER_CLASS = {"train": 500, "test": 100}
VALIDATION = 20  # images per class
EPOCHS = {20: 30, 100: 12}  # by training images per class
SEEDS = range(3)
PLANS = {
    "from scratch": ["model.weights=none", "finetune=full"],
    "head": ["finetune=head"],
    "full": ["finetune=full"],
    "gradual": ["finetune=gradual"],
    "fine_tune": ["finetune=fine_tune"],
}


def link_images(source: Path, target: Path) -> None:
    """Link the first images of each class into another folder."""
    for split, count in PER_CLASS.items():
        for label in sorted((source / split).iterdir()):
            folder = target / split / label.name
            folder.mkdir(parents=True, exist_ok=True)
            for file in sorted(label.iterdir())[:count]:
                if not (folder / file.name).exists():
                    (folder / file.name).symlink_to(file.resolve())


def run_once(folder: Path, overrides: list[str]) -> dict[str, Any]:
    """Return the result of a run, which is trained unless it exists."""
    if not (folder / "result.json").exists():
        print(f"python train.py {' '.join(overrides)}", flush=True)
        train(compose([*overrides, f"hydra.run.dir={folder}"]))
    return read_result(folder)


def main() -> None:
    """Train each plan with each number of images and each seed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="FOLDER")
    parser.add_argument("backbone", metavar="BACKBONE")
    parser.add_argument("weights", metavar="WEIGHTS")
    parser.add_argument("--image-size", type=int, default=128, metavar="PIXELS")
    parser.add_argument("--plans", nargs="+", choices=list(PLANS), default=list(PLANS))
    args = parser.parse_args()
    images = OUT / args.source.resolve().name
    link_images(args.source, images)
    rest = PER_CLASS["train"] - VALIDATION
    shared = [
        *("model=transfer", f"model.backbone={args.backbone}", f"model.weights={args.weights}"),
        *(f"model.image_size={args.image_size}", "data=image_folder", f"data.root={images}"),
        f"data.val_fraction={VALIDATION / PER_CLASS['train']}",
    ]
    print(f"{args.backbone}, {args.image_size} px, seeds {', '.join(map(str, SEEDS))}")
    for count, epochs in EPOCHS.items():
        for plan in args.plans:
            sized = [*shared, *PLANS[plan], f"data.train_fraction={count / rest:.6f}", f"trainer.max_epochs={epochs}"]
            folder = OUT / args.backbone / plan.replace(" ", "_") / str(count)
            found = [run_once(folder / str(seed), [*sized, f"seed={seed}", f"data.seed={seed}"]) for seed in SEEDS]
            scores = [result["metrics"]["test/acc"] for result in found]
            seconds = statistics.median(result["seconds"] for result in found)
            figures = f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f}"
            print(f"{plan:<14}{count:>5} per class   {figures}   {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
