"""`python -m trainyard`: the same as `trainyard`."""

import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # the current folder: its files must not shadow installed packages
    from trainyard.cli.main import main

    main()
