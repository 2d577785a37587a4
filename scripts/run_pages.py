"""The pages of the documentation, run as a reader would: `python scripts/run_pages.py [--write] [--quick] PAGE ...`.

Each page gets a folder of its own with the project in it. What a page shows must be what its commands print; scores
may differ by a tenth. `--write` puts today's output and pictures into the page; `--quick` trains two epochs each and
compares nothing.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from page import Command, Elsewhere, File, Picture, refreshed, steps
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
COPIED = ("conf", "scripts", "src", "train.py")
QUICK = " trainer.max_epochs=2"
COLOURS = 64  # of a picture


class PageError(Exception):
    """A page says what is not so."""


def run_page(page: Path, folder: Path, write: bool = False, quick: bool = False) -> None:
    """Do what a page says, in an empty folder.

    Args:
        page: Markdown, see `page`.
        folder: where the reader is.
        write: whether output and pictures of the page are replaced by what comes out now.
        quick: whether each training takes two epochs, and the output is not compared.

    Raises:
        PageError: a command ends otherwise than the page says, or prints or draws something else.
    """
    for name in COPIED:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, folder / name)
    lines = page.read_text(encoding="utf-8").splitlines()
    for step in steps(page):
        match step:
            case File(path, text):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
            case Elsewhere(typed):
                typed_at(page, f"{one_job(typed)} --cfg job", folder, fails=False)
            case Command():
                now = output_of(page, step, folder, quick)
                lines[step.line + 1 : step.line + 1 + len(step.shown)] = now
            case Picture(path, source):
                if not (folder / source).is_file():
                    raise PageError(f"{page}: no command has drawn {source}")
                if write:
                    (page.parent / path).parent.mkdir(exist_ok=True)
                    drawn = Image.open(folder / source).convert("RGB")
                    drawn.quantize(COLOURS).save(page.parent / path, optimize=True)  # a third of the size
    if write:
        page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def one_job(typed: str) -> str:
    """Return the command of the first job of a sweep; other commands as they are."""
    words = [word for word in shlex.split(typed) if word != "-m"]
    for place, word in enumerate(words[2:], start=2):
        override = OverridesParser.create().parse_override(word)
        if override.is_sweep_override():
            value = override.value()
            first = value.start if isinstance(value, IntervalSweep) else next(override.sweep_string_iterator())
            words[place] = f"{override.get_key_element()}={first}"
    return shlex.join(words)


def output_of(page: Path, command: Command, folder: Path, quick: bool) -> list[str]:
    """Run a command of a page; return the lines that the page shows as they are printed now."""
    trains = command.typed.startswith("python train.py") and "resume=" not in command.typed
    printed = typed_at(page, command.typed + QUICK * (quick and trains), folder, command.fails)
    try:
        return list(command.shown) if quick else refreshed(command.shown, printed.splitlines())
    except LookupError as missing:
        raise PageError(f"{page}: {command.typed}\n  does not print: {missing.args[0]}\n{printed}") from missing


def typed_at(page: Path, typed: str, folder: Path, fails: bool) -> str:
    """Return what a command prints in a folder, both streams."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "src"), "COLUMNS": "150"}
    done = subprocess.run(
        ["bash", "-c", typed], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if (done.returncode != 0) != fails:
        raise PageError(f"{page}: {typed}\n  ends with {done.returncode}\n{done.stdout}")
    return done.stdout


def main() -> None:
    """Run the pages that were typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path, metavar="PAGE")
    parser.add_argument("--write", action="store_true", help="put the output and the pictures into the pages")
    parser.add_argument("--quick", action="store_true", help="train two epochs each, and compare nothing")
    chosen = parser.parse_args()
    for page in chosen.pages:
        with tempfile.TemporaryDirectory() as folder:
            try:
                run_page(page, Path(folder), chosen.write, chosen.quick)
            except PageError as error:
                sys.exit(str(error))
        print(page)


if __name__ == "__main__":
    main()
