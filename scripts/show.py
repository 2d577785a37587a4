"""Look before a run: `python scripts/show.py data|model|schedule|finetune [OVERRIDE ...]`, with what train.py takes."""

from trainyard.subcommands import Subcommand, run

SUBCOMMANDS = {
    "data": Subcommand(
        "trainyard.inspect.data:show", "splits, classes, columns, duplicates and leaks; pictures of examples"
    ),
    "model": Subcommand(
        "trainyard.inspect.model:show",
        "layers with output shapes, parameters and FLOPs",
        {"depth": "levels of layers in layers that `model` shows; 2 unless it is typed"},
    ),
    "schedule": Subcommand("trainyard.inspect.schedule:show", "the learning rate of each parameter group over the run"),
    "finetune": Subcommand(
        "trainyard.inspect.schedule:show_finetune", "which layers of a backbone learn when, at which rate"
    ),
}


def main() -> None:
    """Run what was typed."""
    run("show.py", "Show what a run is made of, before it is trained.", SUBCOMMANDS)


if __name__ == "__main__":
    main()
