"""Find a value before a run: `python scripts/find.py lr|batch_size [OVERRIDE ...]`, with what train.py takes."""

from trainyard.subcommands import Subcommand, run

SUBCOMMANDS = {
    "lr": Subcommand(
        "trainyard.inspect.learning_rate:find",
        "the learning rate: Lightning's range test",
        {"steps": "steps of the range test of `lr`; 100 unless it is typed"},
    ),
    "batch_size": Subcommand("trainyard.inspect.batch_size:find", "the batch size: examples a second, and what fits"),
}


def main() -> None:
    """Run what was typed."""
    run("find.py", "Find a value by trying it for a few steps, before a run.", SUBCOMMANDS)


if __name__ == "__main__":
    main()
