"""Test the properties of bad input with new random examples: `python -m tests.bad_input.fuzz [SECONDS]`.

If a property fails, prints the smallest failing example and the seed that reproduces it, and exits with 1.
"""

import os
import sys
import time
import traceback

from hypothesis import seed


def main() -> int:
    """Test all properties repeatedly, with a new seed in each round; return the exit code."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else float(os.environ.get("TRAINYARD_FUZZ_SECONDS", "300"))
    os.environ["TRAINYARD_FUZZ_SECONDS"] = str(seconds)  # read when the properties are imported
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
                print(f"\n{name} fails; to reproduce: TRAINYARD_FUZZ_SEED={number} python -m tests.bad_input.fuzz")
                traceback.print_exception(error)
        number += 1
    print(", ".join(f"{count} {name}" for name, count in examples.counts.items()))
    print(f"{len(failed)} of {len(properties)} properties failed" if failed else "all properties passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
