"""What transfer learning gains on few pictures: `python scripts/transfer_study.py CIFAR10_FOLDER`.

A small backbone learns five classes of CIFAR-10 (as JPEG files, `train/<class>/` and `test/<class>/`) from all their
pictures. The other five are then learned from 20 labelled pictures a class, which another 20 validate, from scratch
and from that checkpoint; over five seeds, each with pictures of its own. Prints a table of the accuracy on all 5,000
test pictures of the five classes. Everything goes to outputs/transfer/; what is there already is not done again.
"""

import json
import statistics
import sys
from pathlib import Path

from trainyard.config import compose
from trainyard.training import train

OUT = Path("outputs") / "transfer"
CLASSES = {
    "first": ("airplane", "bird", "cat", "frog", "truck"),
    "second": ("automobile", "deer", "dog", "horse", "ship"),
}
SEEDS = range(5)
BACKBONE = ["model=transfer", "model.backbone=resnet10t", "model.image_size=64", "data=image_folder"]
FIRST = [
    "model.weights=none", "finetune=full", "augment=photo", "optimizer=adamw", "optimizer.lr=0.003",
    "optimizer.weight_decay=0.05", "scheduler=one_cycle", "trainer.max_epochs=10", "data.batch_size=128",
]  # fmt: skip
# 20 of 5,000 pictures a class to validate on, and 20 of the other 4,980 to train on.
SECOND = [
    "data.val_fraction=0.004", "data.train_fraction=0.004016", "data.seed=${seed}", "data.batch_size=20",
    "optimizer=adamw", "trainer.max_epochs=60",
]  # fmt: skip
WAYS = {
    "from scratch": ["model.weights=none", "finetune=full", "augment=photo"],
    "head": ["finetune=head", "optimizer.lr=0.01"],
    "full": ["finetune=full", "augment=photo"],
    "gradual": ["finetune=gradual", "augment=photo"],
    "fine_tune": ["finetune=fine_tune", "augment=photo"],
}


def link_classes(source: Path, name: str) -> Path:
    """Make a folder that holds five of the classes, as links."""
    for split in ("train", "test"):
        folder = OUT / "classes" / name / split
        folder.mkdir(parents=True, exist_ok=True)
        for label in CLASSES[name]:
            if not (folder / label).exists():
                (folder / label).symlink_to((source / split / label).resolve(), target_is_directory=True)
    return OUT / "classes" / name


def run(folder: Path, overrides: list[str]) -> dict[str, float]:
    """Train what the overrides say, unless it was; return its metrics and seconds."""
    if not (folder / "result.json").exists():
        print(f"python train.py {' '.join(overrides)}")
        train(compose([*overrides, f"hydra.run.dir={folder}"]))
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {**result["metrics"], "seconds": result["seconds"]}


def main() -> None:
    """Train the first five classes, then the second five in each way, and print the table."""
    source = Path(sys.argv[1])
    first, second = (link_classes(source, name) for name in CLASSES)
    known = run(OUT / "first", [*BACKBONE, *FIRST, f"data.root={first}"])
    weights = f"model.weights={OUT / 'first' / 'checkpoints' / 'best.ckpt'}"
    rows = {}
    for way, options in WAYS.items():
        chosen = [*BACKBONE, *SECOND, f"data.root={second}", *([] if way == "from scratch" else [weights]), *options]
        rows[way] = [run(OUT / way.replace(" ", "_") / str(seed), [*chosen, f"seed={seed}"]) for seed in SEEDS]
    print(f"\nfirst five classes: test accuracy {known['test/acc']:.4f}, {known['seconds'] / 60:.1f} minutes")
    print(f"{'second five, 20 pictures a class':<34} {'mean':>7} {'std':>7} {'least':>7} {'seconds':>8}")
    for way, results in rows.items():
        scores = [result["test/acc"] for result in results]
        seconds = statistics.median(result["seconds"] for result in results)
        figures = f"{statistics.mean(scores):>7.4f} {statistics.stdev(scores):>7.4f} {min(scores):>7.4f}"
        print(f"{way:<34} {figures} {seconds:>8.1f}")


if __name__ == "__main__":
    main()
