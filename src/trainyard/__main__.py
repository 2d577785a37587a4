"""`python -m trainyard model=cnn`: the same as `python train.py model=cnn`, from any folder."""

import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # the current folder: what lies there must not be imported instead of a package
    from trainyard.cli import main

    main()
