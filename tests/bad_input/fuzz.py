"""The properties of bad input, tried on new examples for some time: `python -m tests.bad_input.fuzz [SECONDS]`.

Ends with 1 where one does not hold, after the smallest example that shows it and the seed that finds it again.
"""

import os
import sys
import time
import traceback

from hypothesis import seed


def main() -> int:
    """Try all properties in turn, with a new seed each round; return the exit code."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else float(os.environ.get("TRAINYARD_FUZZ_SECONDS", "300"))
    os.environ["TRAINYARD_FUZZ_SECONDS"] = str(seconds)  # seen by the properties when they are imported
    from tests.bad_input import examples, test_properties

    properties = {name: test for name, test in vars(test_properties).items() if name.startswith("test_")}
    number, end = int(os.environ.get("TRAINYARD_FUZZ_SEED", time.time_ns() // 1_000_000)), time.monotonic() + seconds
    failed: set[str] = set()
    while time.monotonic() < end:
        for name, test in properties.items():
            if name in failed or time.monotonic() > end:
                continue
            try:
                seed(number)(test)()
            except Exception as error:
                failed.add(name)
                print(f"\n{name} does not hold; again by TRAINYARD_FUZZ_SEED={number} python -m tests.bad_input.fuzz")
                traceback.print_exception(error)
        number += 1
    print(", ".join(f"{count} {name}" for name, count in examples.tried.items()))
    print(f"{len(failed)} of {len(properties)} properties do not hold" if failed else "all properties hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
