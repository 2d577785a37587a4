"""`python -m trainyard model=cnn`: the same as `python train.py model=cnn`, from any folder."""

from trainyard.cli import main

if __name__ == "__main__":
    main()
