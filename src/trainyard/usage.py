"""What `python train.py --help` prints: the groups with their options, and examples.

Hydra can print this too, but it reads all its own groups, twice, for it: half as long again as an empty app needs.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from trainyard.config import CONF_DIR, CONFIG_NAME

HEADER = """\
Trainyard trains, tests and records one experiment, or many, composed from the groups below.

Groups: choose an option with group=option, change a value of it with group.key=value; * is what runs unless you choose.
"""
EXAMPLES = """
Examples

  python train.py model=cnn optimizer=adam                 choose by name
  python train.py optimizer.lr=0.01 trainer.max_epochs=50  change values
  python train.py experiment=penguins                      a whole experiment, its score in its file
  python train.py -m model=mlp,cnn optimizer=sgd,adam      every combination, one run each
  python train.py resume=latest                            go on with a run that was stopped, or of its name
  python train.py data=shapes model=cnn --cfg job          show what would run, and run nothing

See it: make tensorboard. What Hydra adds (tab completion, --info, --config-dir): python train.py --hydra-help"""


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether a command line asks how it is used."""
    return not {"-h", "--help"}.isdisjoint(words)


def usage(words: Sequence[str]) -> str:
    """Return the help text; with `--config-dir FOLDER` among the words, with the options of that folder too."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path, action="append", default=[CONF_DIR])
    folders = parser.parse_known_args(words)[0].config_dir
    chosen: dict[str, str] = {}
    for line in OmegaConf.load(CONF_DIR / f"{CONFIG_NAME}.yaml").defaults:
        chosen |= {} if line == "_self_" else line
    groups = sorted({group.name for folder in folders for group in folder.iterdir() if group.is_dir()} - {"hydra"})
    rows = []
    for group in groups:
        options = sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})
        marked = [f"{option}*" if option == chosen.get(group) else option for option in options]
        rows.append(f"  {group:<12} {', '.join(marked)}")
    return "\n".join([HEADER, *rows, EXAMPLES])
