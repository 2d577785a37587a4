"""The leaderboard of a sweep: `python scripts/leaderboard.py SWEEP [--test] [--promote NAME]`.

SWEEP is its directory, or its name in outputs/sweeps. `--test` shows the test score of every configuration, not of the
winner alone: who chooses by it has no test data left. `--promote NAME` writes the winner as conf/experiment/NAME.yaml.
"""

import argparse
import sys

from trainyard.entry import command
from trainyard.errors import ConfigError
from trainyard.logs import print_anything


def main() -> None:
    """Print the leaderboard, and write its files."""
    with command():
        print_anything()
        show_leaderboard()


def show_leaderboard() -> None:
    """Parse the arguments and print the leaderboard."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sweep")
    parser.add_argument("--test", action="store_true", help="show all test scores")
    parser.add_argument("--promote", metavar="NAME", help="write the winner as an experiment")
    parser.add_argument(
        "--trusted-packages", action="append", default=[], metavar="NAME", help="that a winner may name classes of"
    )
    chosen = parser.parse_args()
    from trainyard.sweeps.leaderboard.promote import check_name, promote
    from trainyard.sweeps.leaderboard.report import leaderboard_text, write_report
    from trainyard.sweeps.stored import StoredSweep

    try:
        if chosen.promote is not None:
            check_name(chosen.promote)
        sweep = StoredSweep.find(chosen.sweep)
        if chosen.test:
            print("the test scores have been looked at: choose by validation all the same")
        write_report(sweep)
        print(leaderboard_text(sweep, chosen.test))
        if chosen.promote is not None:
            print(promote(sweep, chosen.promote, trusted=chosen.trusted_packages))
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
