"""Train, test and record an experiment: `python train.py model=cnn optimizer=adam`; `--help` lists the choices."""

from trainyard.__main__ import main

if __name__ == "__main__":
    main()
