"""The recipe of `experiment=cifar10` beside `model=cnn` on other images: `python scripts/compare_image_folders.py`.

Writes the digits and the shapes as image files in outputs/folders/, and trains both with three seeds and equally many
epochs. FOLDER[=OVERRIDE,...] adds a folder of classes, such as photos=data.image_size=64. Prints mean and standard
deviation of the test accuracy.
"""

import statistics
import sys
from pathlib import Path

from PIL import Image

from trainyard.config.composition import compose
from trainyard.data.loading.datamodule import DataModule
from trainyard.run.run_builder import build_data
from trainyard.run.run_directory import read_result
from trainyard.run.training import train
from trainyard.terminal.tables import table

OUT = Path("outputs") / "folders"
SEEDS, EPOCHS = range(3), "trainer.max_epochs=18"
SOURCES = {  # how the images are made, and what their recipe needs
    "digits": (["data=digits"], ["augment.alternate_flips=false"]),  # a mirrored digit is another sign
    "shapes": (["data=shapes", "data.count=3000", "data.image_size=32"], []),
    "large_shapes": (["data=shapes", "data.count=1500", "data.image_size=80"], ["data.image_size=40"]),
}
RECIPES = {
    "cnn": ["data=image_folder", "model=cnn", EPOCHS],
    "whitened_cnn": ["experiment=cifar10", "data.val_fraction=0.15", EPOCHS],
}


def write_folder(name: str) -> Path:
    """Write the images of a source as PNG files, unless they exist."""
    root = OUT / name / "images"
    if root.exists():
        return root
    data = build_data(compose(SOURCES[name][0]))
    assert isinstance(data, DataModule)
    for split, part in data.splits.items():
        images, _ = part.__getitems__([*range(len(part))])
        for place, (image, label) in enumerate(zip(images, part.y.tolist(), strict=True)):
            file = root / ("test" if split == "test" else "train") / data.classes[label] / f"{split}{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).squeeze().numpy()).save(file)
    return root


def accuracy(root: Path, folder: Path, overrides: list[str]) -> float:
    """Return the test accuracy of a run, which is trained unless it exists."""
    if read_result(folder).get("status") != "completed":
        train(compose([*overrides, f"data.root={root}", f"hydra.run.dir={folder}"]))
    return float(read_result(folder)["metrics"]["test/acc"])


def main() -> None:
    """Train both on each folder, and print the table."""
    folders = {name: (write_folder(name), needed) for name, (_, needed) in SOURCES.items()}
    for word in sys.argv[1:]:
        path, _, own = word.partition("=")
        folders[Path(path).name] = (Path(path), own.split(",") if own else [])
    rows = []
    for name, (root, needed) in folders.items():
        row: list[str] = []
        for recipe, words in RECIPES.items():
            used = needed if recipe == "whitened_cnn" else [word for word in needed if word.startswith("data.")]
            runs = {seed: OUT / name / recipe / str(seed) for seed in SEEDS}
            scores = [accuracy(root, folder, [*words, *used, f"seed={seed}"]) for seed, folder in runs.items()]
            row.append(f"{statistics.mean(scores):.4f} ± {statistics.stdev(scores):.4f}")
        rows.append([name, *row])
    print(table(["folder", *RECIPES], rows))


if __name__ == "__main__":
    main()
