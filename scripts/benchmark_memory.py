"""Peak memory of training, evaluation and prediction: `python scripts/benchmark_memory.py`.

Measures the proportional set sizes of all processes of a command. Part 1: photographs of 224 pixels, with the default
batches of 64. Part 2: 100,000 photographs of 64 pixels, streamed from files, which are links to 400 different ones.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from benchmark_helpers import print_table
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
SHORT = ["trainer.max_epochs=1", "+trainer.limit_train_batches=3"]
STREAM = ["data.resident=false", "model=cnn", "model.channels=[8,16]", "trainer.max_epochs=1"]
FILES, DISTINCT = 100_000, 400
INTERVAL = 0.2  # seconds between measurements


def write_photos(folder: Path, side: int, count: int) -> list[Path]:
    """Write blurred noise as JPEG files of four classes, and return their paths."""
    generator = np.random.default_rng(0)
    paths = [folder / f"class{number % 4}" / f"{number}.jpg" for number in range(count)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        noise.resize((side, side), Image.Resampling.BICUBIC).save(path, quality=80)
    return paths


def peak(words: list[str]) -> str:
    """Run a command of Trainyard and return the largest memory of its processes together, and their number then."""
    process = psutil.Popen([sys.executable, "-m", "trainyard", *words], cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    highest = (0, 0)
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):  # one has ended meanwhile
            sizes = [each.memory_full_info().pss for each in (process, *process.children(recursive=True))]
            highest = max(highest, (sum(sizes), len(sizes)))
        time.sleep(INTERVAL)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return f"{highest[0] / 2**30:.2f} GiB, {highest[1]} processes"


def measure_photos(root: Path) -> None:
    """Print the memory of networks on large photographs."""
    write_photos(root / "large", 224, 600)
    rows = []
    for name in ("cnn", "resnet"):
        options = [f"data.root={root / 'large'}", f"model={name}", f"hydra.run.dir={root / name}"]
        rows.append(
            [name, peak(["train", "data=image_folder", *options, *SHORT]), peak(["evaluate", str(root / name)])]
        )
    print_table("photographs of 224 pixels", ["train", "evaluate"], rows)


def measure_stream(root: Path) -> None:
    """Print the memory of reading many files."""
    links, distinct = root / "many", itertools.cycle(write_photos(root / "small", 64, DISTINCT))
    for number in range(FILES):
        path = links / f"class{number % 10}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(next(distinct))
    run, limit = str(root / "stream"), "+trainer.limit_train_batches=100"
    commands = {
        "train": ["train", "data=image_folder", f"data.root={links}", *STREAM, limit, f"hydra.run.dir={run}"],
        "evaluate": ["evaluate", run],
        "predict": ["predict", run, str(links), "--output", str(root / "predictions.csv")],
    }
    print_table(f"{FILES:,} files, streamed", ["memory"], [[name, peak(words)] for name, words in commands.items()])


def main() -> None:
    """Print both parts."""
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["TRAINYARD_CACHE"] = str(Path(temporary) / "cache")
        measure_photos(Path(temporary))
        measure_stream(Path(temporary))


if __name__ == "__main__":
    main()
