"""Training from the command line: prints the help text, or composes a config with Hydra and runs it."""

import argparse
import gc
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from trainyard.cli.error_reports import check_text, report_errors
from trainyard.cli.parser import WIDTH, hydra_parser, options_first
from trainyard.cli.process import without_garbage_collection
from trainyard.cli.suggestions import suggest_command
from trainyard.config.composition import (
    CONF_DIR,
    CONFIG_NAME,
    HYDRA_VERSION_BASE,
    check_root,
    config_groups,
    load_root,
)
from trainyard.config.config_folders import split_config_dir
from trainyard.history.stored_config import asks_to_resume, resume
from trainyard.io.errors import ConfigError, PassThrough, config_error
from trainyard.run.run_directory import remove_failed_result
from trainyard.terminal.invocation import train_command
from trainyard.terminal.logs import prepare_output

CONDITION = "sweep.where"
HELP_HEADER = """\
Trains, tests and records one run, or a sweep with -m, composed from the groups
below. Choose an option with group=option, and change a value of it with
group.key=value. Options with * are the defaults.
"""
HELP_EXAMPLES = """
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
Your own groups and options, in a folder such as conf: --config-dir FOLDER
Hydra's own options, such as --info: {train} --hydra-help"""


def main() -> None:
    """Compose the overrides in `sys.argv` and run the config."""
    prepare_output()
    words, _ = split_config_dir(sys.argv[1:])
    if asks_to_resume(words):
        with report_errors():
            resume(words)
        return
    args = sys.argv[1:] = options_first(map(quote_condition, sys.argv[1:]))
    with report_errors(), without_garbage_collection():
        options = parse_arguments(args)
        if options.help:
            print(help_text())
            return
        check_text(args)
        check_root()
        if "hydra.mode=RUN" in args and options.multirun:
            raise config_error("hydra.mode", "RUN", "contradicts -m", "one of them")
        try:
            run()
        except PassThrough as passed:
            raise passed.error from passed.error.__cause__


@hydra.main(version_base=HYDRA_VERSION_BASE, config_path=str(CONF_DIR), config_name=CONFIG_NAME)
def run(cfg: DictConfig) -> float:
    """Run one composed config; in a sweep, the launcher gets its error."""
    try:
        return run_config(cfg)
    except Exception as error:
        if HydraConfig.get().mode is RunMode.MULTIRUN:
            raise
        raise PassThrough(error) from error


def run_config(cfg: DictConfig) -> float:
    """Run one composed config; torch and lightning are imported here, not before.

    If it fails before it writes anything, the directory that Hydra has created is removed.
    """
    first = "trainyard.run.training" not in sys.modules
    from trainyard.run.training import train

    if first:
        gc.freeze()  # imported objects stay until the exit: collecting them costs time and frees nothing
    gc.enable()
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        check_run_key(HydraConfig.get().overrides.task)
        remove_failed_result(folder)
        objective = train(cfg).objective
    except Exception:
        if folder != Path.cwd() and {path.name for path in folder.glob("*")} <= {".hydra"}:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    assert objective is not None
    return objective


def check_run_key(overrides: Sequence[str]) -> None:
    """Raise a ConfigError for an override of a key that every run sets itself."""
    for override in overrides:
        if re.match(r"[+~]*run([.=]|$)", override):
            accepted = "hydra.run.dir=PATH for the directory"
            raise ConfigError(f"{override}: every run sets this key itself\n  accepted: {accepted}")


def parse_arguments(args: Sequence[str]) -> argparse.Namespace:
    """Return Hydra's options; exit with 2 for an unknown one, with a shorter message than Hydra's."""
    try:
        return hydra_parser().parse_args(args)
    except SystemExit:
        if command := suggest_command():
            print(f"  try: {command}", file=sys.stderr)
        raise


def help_text() -> str:
    """Return the help text, with the groups and options of the user's folder.

    Hydra can print one too, but reads its own groups for it, which takes half as long again.
    """
    lines = load_root().get("defaults", ())
    chosen = {group: option for line in lines if isinstance(line, DictConfig) for group, option in line.items()}
    rows = []
    groups = config_groups()
    for group in sorted(groups.keys() - {"hydra"}):
        marked = [f"{option}*" if option == chosen.get(group) else option for option in groups[group]]
        text = f"  {group:<12} {', '.join(marked)}"
        rows.append(textwrap.fill(text, WIDTH, subsequent_indent=" " * 15, break_on_hyphens=False))
    return "\n".join([HELP_HEADER, *rows, HELP_EXAMPLES.format(train=train_command())])


def quote_condition(arg: str) -> str:
    """Return a `sweep.where=CONDITION` in the quotes that Hydra needs; other arguments unchanged."""
    key, _, text = arg.partition("=")
    if key != CONDITION or (text[:1] in ("'", '"') and text.find(text[0], 1) == len(text) - 1):
        return arg
    inside = text.replace("'", "\\'")
    return f"{key}='{inside}'"
