"""The commands of `trainyard` beside `train`: their arguments and the functions that run them.

The functions import what they need, since torch takes seconds to import and a help text does not need it.
"""

import argparse
import pkgutil
import sys
from pathlib import Path
from typing import Any

from trainyard import __version__
from trainyard.cli.parser import Parser, Run, add_config_dir, positive
from trainyard.cli.process import without_garbage_collection

DESCRIPTION = """\
Deep-learning experiments by composition, on PyTorch Lightning and Hydra.

  trainyard model=cnn optimizer=adam          train one run
  trainyard -m model=mlp,cnn 'seed=range(3)'  train a sweep
  trainyard train --help                      groups and options
  trainyard new my_project                    a project for your own model
"""
RUN = "run directory, name of a run or an unambiguous part of it, SWEEP/NUMBER, latest, best:SWEEP, or a checkpoint"
OVERRIDES = "An OVERRIDE is what `trainyard train` accepts: model=cnn optimizer.lr=0.01"
CONDITIONS = """\
conditions:
  model=cnn status=completed 'val/acc>0.95' 'optimizer.lr<0.01' data=dig*

  A condition compares the option of a group, a key of the config, a metric,
  or name, status, started, best, epochs, seconds, parameters by =, !=, <, <=,
  > or >=. Quote < and >, which the shell uses for files. Expressions work, too:
  'model in ["mlp", "cnn"] and not (seed == 0)'."""
TEST_TIME_VIEWS = 8  # of each image, for --tta


class PrintCompletion(argparse.Action):
    """Prints the code that adds completion to a shell, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        """Print the code for the shell that was chosen."""
        from trainyard.cli.completion import shell_code

        print(shell_code(values))
        parser.exit()


def make_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser("trainyard", DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"trainyard {__version__}")
    shells = 'print shell code: eval "$(trainyard --completion bash)"'
    parser.add_argument("--completion", choices=["bash", "zsh", "fish"], action=PrintCompletion, help=shells)
    add_config_dir(parser)
    parser.add_command("train", "train, test and record one run, or a sweep with -m; the default command")
    add_new(parser)
    add_evaluate(parser)
    add_predict(parser)
    add_export(parser)
    add_leaderboard(parser)
    add_runs(parser)
    add_show(parser)
    add_find(parser)
    add_draw(parser)
    return parser


def add_run(parser: Parser) -> None:
    """Add the arguments of a command that loads a trained run."""
    parser.add_argument("run", metavar="RUN", help=RUN)
    add_trusted(parser, "package whose classes a stored config may use")


def add_trusted(parser: Parser, text: str) -> None:
    """Add `--trusted-packages`."""
    option = "--trusted-packages"
    parser.add_argument(option, action="append", default=[], dest="trusted", metavar="NAME", help=text)


def add_new(commands: Parser) -> None:
    """Add `new`."""
    summary = "create a project with your own model, data and configs"
    parser = commands.add_command("new", summary, call("trainyard.cli.new_project:create_project"))
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="new folder, whose name is that of the project")


def add_evaluate(commands: Parser) -> None:
    """Add `evaluate`."""
    epilog = "An OVERRIDE is data.path=other.csv, data.batch_size=512 or trainer.accelerator=cpu."
    parser = commands.add_command("evaluate", "test a run again, from its directory", evaluate, epilog)
    add_run(parser)
    parser.add_argument("overrides", metavar="OVERRIDE", nargs="*")
    kinds = parser.add_mutually_exclusive_group()
    views = f"average over {TEST_TIME_VIEWS} augmented views of each image"
    parser.remember(kinds.add_argument("--tta", action="store_true", help=views))
    average = "average K jobs of best:SWEEP, chosen greedily"
    parser.remember(kinds.add_argument("--ensemble", type=positive, metavar="K", help=average))
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the report (default: RUN/evaluation)")


def evaluate(arguments: argparse.Namespace) -> None:
    """Test a run, print its scores, and write a report."""
    from trainyard.inference import evaluate as evaluation
    from trainyard.io.files import check_folder, output_folder
    from trainyard.terminal.logs import log_to_screen

    run, overrides, trusted = arguments.run, arguments.overrides, arguments.trusted
    if arguments.output:
        check_folder(arguments.output)
    report: evaluation.Report
    with log_to_screen():
        if arguments.ensemble:
            report, folder = evaluation.evaluate_ensemble(run, arguments.ensemble, overrides, trusted)
        else:
            report, folder = evaluation.evaluate(run, overrides, TEST_TIME_VIEWS if arguments.tta else 1, trusted)
    written = evaluation.write_report(report, arguments.output or output_folder(folder, "evaluation"))
    print(*report.lines, f"written    {written}", sep="\n")


def add_predict(commands: Parser) -> None:
    """Add `predict`."""
    epilog = "Without INPUT, the predict_dataloader of the data module is used; data.KEY=VALUE changes its arguments."
    parser = commands.add_command("predict", "predict images, rows or batches with a trained run", predict, epilog)
    add_run(parser)
    inputs = "images, folders of images, tables (.csv, .tsv, .parquet), quoted patterns such as '**/*.png', or - (CSV)"
    parser.add_argument("inputs", metavar="INPUT", nargs="*", help=inputs)
    output = "CSV of the predictions (default: stdout); without INPUT also .npy or .pt"
    parser.add_argument("--output", type=Path, metavar="FILE", help=output)
    parser.add_argument("--batch-size", type=positive, metavar="N", help="examples at once (default: 64 or 8192)")
    parser.add_argument("--ensemble", type=positive, metavar="K", help="average K jobs of best:SWEEP, chosen greedily")


def predict(arguments: argparse.Namespace) -> int:
    """Write predictions; return 1 if some inputs could not be predicted."""
    from trainyard.inference.predict import is_override, predict_files

    if all(map(is_override, arguments.inputs)) and not (arguments.ensemble or arguments.batch_size):
        from trainyard.inference.module_predictions import predict_run
        from trainyard.terminal.logs import log_to_screen

        with log_to_screen():
            lines = predict_run(arguments.run, arguments.inputs, arguments.output, arguments.trusted)
        print(*lines, sep="\n", end="\n" if lines else "", file=sys.stderr)
        return 0
    trusted, ensemble = arguments.trusted, arguments.ensemble
    failed = predict_files(arguments.run, arguments.inputs, arguments.output, arguments.batch_size, trusted, ensemble)
    return 1 if failed else 0


def add_export(commands: Parser) -> None:
    """Add `export`."""
    parser = commands.add_command("export", "export a trained run: raw inputs to predictions", export)
    add_run(parser)
    parser.add_argument("--format", required=True, choices=["onnx", "torch", "safetensors"])
    parser.add_argument("--output", type=Path, metavar="FILE", help="file to write (default: RUN/export/model.SUFFIX)")


def export(arguments: argparse.Namespace) -> None:
    """Write a model file and its model card."""
    from trainyard.inference.export import export_run

    print(*export_run(arguments.run, arguments.format, arguments.output, arguments.trusted), sep="\n")


def add_leaderboard(commands: Parser) -> None:
    """Add `leaderboard`."""
    parser = commands.add_command("leaderboard", "print the leaderboard of a sweep and write its files", leaderboard)
    parser.add_argument("sweep", metavar="SWEEP", help="directory of a sweep, or its name in outputs/sweeps")
    test = "show the test scores of all configurations; choose by validation all the same"
    parser.add_argument("--test", action="store_true", help=test)
    parser.add_argument(
        "--promote", metavar="NAME", help="write the winner as experiment/NAME.yaml, in your --config-dir or conf"
    )
    add_trusted(parser, "package whose classes the winner may use")


def leaderboard(arguments: argparse.Namespace) -> None:
    """Print a leaderboard, write its files, and promote its winner if asked to."""
    from trainyard.sweeps.leaderboard.promote import check_name, promote
    from trainyard.sweeps.leaderboard.report import leaderboard_text, write_report
    from trainyard.sweeps.stored import StoredSweep

    if arguments.promote is not None:
        check_name(arguments.promote)
    sweep = StoredSweep.find(arguments.sweep)
    write_report(sweep)
    if arguments.test:
        print("test scores of all configurations; choose by validation all the same")
    print(leaderboard_text(sweep, arguments.test))
    if arguments.promote is not None:
        print(promote(sweep, arguments.promote, trusted=arguments.trusted))


def add_runs(commands: Parser) -> None:
    """Add `runs list`, `runs diff` and `runs reproduce`."""
    runs = commands.add_command("runs", "list, compare or reproduce runs")
    listed = runs.add_command("list", "list the runs under outputs/ that fulfil all conditions", list_runs, CONDITIONS)
    listed.add_argument("conditions", nargs="*", metavar="CONDITION", help="such as model=cnn or 'val/acc>0.95'")
    sort = "best or newest first; --sort=-KEY reverses the order"
    listed.add_argument("--sort", default="started", metavar="KEY", help=sort)
    listed.add_argument("--last", type=positive, metavar="N", help="only the newest N of them")
    listed.add_argument("--csv", action="store_true", help="print all columns as CSV")
    diff = runs.add_command("diff", "show what differs between two runs", diff_runs)
    diff.add_argument("a", metavar="A", help=RUN)
    diff.add_argument("b", metavar="B")
    again = runs.add_command("reproduce", "run the same code with the same config again, and compare", reproduce_run)
    again.add_argument("run", metavar="RUN", help=RUN)
    output = "directory of the new run (default: outputs/reproduced/NAME)"
    again.add_argument("--output", type=Path, metavar="DIR", help=output)
    again.add_argument("--yes", action="store_true", help="run code from the run's directory without asking")


def list_runs(arguments: argparse.Namespace) -> None:
    """Print runs as a table or as CSV."""
    from trainyard.history.run_table import print_csv, print_table, select_runs

    with without_garbage_collection():
        runs = select_runs(arguments.conditions, arguments.sort, arguments.last)
        print_csv(runs) if arguments.csv else print_table(runs)


def diff_runs(arguments: argparse.Namespace) -> None:
    """Print the differences between two runs."""
    from trainyard.history.diff import diff
    from trainyard.history.find_run import find_run

    print(diff(find_run(arguments.a), find_run(arguments.b)))


def reproduce_run(arguments: argparse.Namespace) -> int:
    """Run a run again; return 0 if it gave the same result."""
    from trainyard.history.find_run import find_run
    from trainyard.history.reproduce import reproduce

    return reproduce(find_run(arguments.run), arguments.output, arguments.yes)


def add_show(commands: Parser) -> None:
    """Add `show data`, `show model`, `show schedule` and `show finetune`."""
    show = commands.add_command("show", "inspect data, model or schedule before a run")
    data = "show splits, classes, columns, duplicates and leaks, and draw examples"
    add_composed(show, "data", data, "trainyard.inspect.data:show")
    layers = "show layers with output shapes, parameters and FLOPs"
    model = add_composed(show, "model", layers, "trainyard.inspect.model:show")
    model.add_argument("--depth", type=positive, metavar="N", help="levels of nested layers (default: 2)")
    schedule = "show the learning rate of each parameter group over the run"
    add_composed(show, "schedule", schedule, "trainyard.inspect.schedule:show")
    finetune = "show which layers of a backbone learn when, and at which rate"
    add_composed(show, "finetune", finetune, "trainyard.inspect.schedule:show_finetune")


def add_find(commands: Parser) -> None:
    """Add `find lr` and `find batch_size`."""
    find = commands.add_command("find", "find a learning rate or batch size by short trials")
    rate = add_composed(find, "lr", "find a learning rate with a range test", "trainyard.inspect.learning_rate:find")
    rate.add_argument("--steps", type=positive, metavar="N", help="steps of the range test (default: 100)")
    size = "measure the speed of batch sizes and which of them fit into memory"
    add_composed(find, "batch_size", size, "trainyard.inspect.batch_size:find")


def add_composed(group: Parser, name: str, summary: str, target: str) -> Parser:
    """Add a subcommand that composes a config from overrides and calls `module:function` with it."""
    parser = group.add_command(name, summary, call(target), OVERRIDES)
    parser.add_argument("overrides", metavar="OVERRIDE", nargs="*")
    return parser


def add_draw(commands: Parser) -> None:
    """Add `draw curves`, `draw decision` and `draw layers`."""
    draw = commands.add_command("draw", "draw figures of trained runs into outputs/draw")
    summary = "draw the metrics of runs or of a sweep over the epochs"
    curves = draw.add_command("curves", summary, call("trainyard.inspect.curves:draw"))
    curves.add_argument("names", nargs="+", metavar="RUN|SWEEP", help=RUN)
    columns = "columns of metrics.csv, such as val/loss"
    curves.add_argument("--of", nargs="+", default=(), dest="panels", metavar="NAME", help=columns)
    summary = "draw the predictions of a model with two inputs over their plane"
    add_run(draw.add_command("decision", summary, call("trainyard.inspect.decision_figure:draw_decision")))
    summary = "draw the output of each layer for one validation image"
    layers = draw.add_command("layers", summary, call("trainyard.inspect.layer_outputs:draw_layers"))
    add_run(layers)
    layers.add_argument("--example", type=int, default=0, metavar="N", help="number of the image (default: 0)")


def call(target: str) -> Run:
    """Return a function that calls `module:function` with the arguments of a command by name, overrides as a config."""

    def run(arguments: argparse.Namespace) -> None:
        from trainyard.terminal.logs import log_to_screen

        options = vars(arguments)
        if "overrides" in options:
            from trainyard.config.composition import compose

            options["cfg"] = compose(options.pop("overrides"))  # before the import of torch, so errors come at once
        function = pkgutil.resolve_name(target)
        with log_to_screen():
            function(**options)

    return run
