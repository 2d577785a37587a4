"""`python -m trainyard model=cnn`: the same as `python train.py model=cnn`, from any folder."""

import sys

from trainyard.entry import command, prints_result


def main() -> None:
    """Run the command line; what takes time to import is imported when signals are handled."""
    with command(prints_result(sys.argv[1:])):
        from trainyard.cli import main

        main()


if __name__ == "__main__":
    main()
