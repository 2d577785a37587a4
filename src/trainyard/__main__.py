"""`python -m trainyard model=cnn`: the same as `python train.py model=cnn`, from any folder."""

import sys


def main() -> None:
    """Run the command line; slow imports come after the signal handlers are installed."""
    from trainyard.entry import command, prints_result

    with command(prints_result(sys.argv[1:])):
        from trainyard.cli import main

        main()


if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # the current folder: its files must not shadow installed packages
    main()
