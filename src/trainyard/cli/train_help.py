"""The help text of `trainyard train` and `python train.py`: groups with their options, and examples.

Hydra can print this too, but it reads all its own groups, twice, for it: half as long again as an empty app needs.
"""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from trainyard.config.composition import CONF_DIR, CONFIG_NAME, config_groups
from trainyard.terminal.invocation import train_command

WIDTH = 80
HEADER = """\
Trains, tests and records one run, or a sweep with -m, composed from the groups
below. Choose an option with group=option, and change a value of it with
group.key=value. Options with * are the defaults.
"""
EXAMPLES = """
Examples:
  {train} model=cnn optimizer=adam
      choose options
  {train} optimizer.lr=0.01 trainer.max_epochs=50
      change values
  {train} experiment=penguins
      run a whole experiment; its file states its score
  {train} -m model=mlp,cnn optimizer=sgd,adam
      run every combination
  {train} resume=latest
      resume the run that was started last, or a run by its name
  {train} data=shapes model=cnn --cfg job
      print the config, and run nothing

TensorBoard shows the results: tensorboard --logdir outputs
Hydra's own options, such as --info and --config-dir: {train} --hydra-help"""


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether a command asks for its help text."""
    return not {"-h", "--help"}.isdisjoint(words)


def help_text(words: Sequence[str]) -> str:
    """Return the help text; with `--config-dir FOLDER` among the words, with the options of that folder too."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd", type=Path, action="append", default=[CONF_DIR])
    folders = parser.parse_known_args(words)[0].config_dir
    chosen: dict[str, str] = {}
    for line in OmegaConf.load(CONF_DIR / f"{CONFIG_NAME}.yaml").defaults:
        chosen |= {} if line == "_self_" else line
    rows = []
    for group, options in config_groups(folders).items():
        if group == "hydra":
            continue
        marked = [f"{option}*" if option == chosen.get(group) else option for option in options]
        text = f"  {group:<12} {', '.join(marked)}"
        rows.append(textwrap.fill(text, WIDTH, subsequent_indent=" " * 15, break_on_hyphens=False))
    return "\n".join([HEADER, *rows, EXAMPLES.format(train=train_command())])
