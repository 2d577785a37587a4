"""Trainyard: experiments on PyTorch Lightning and Hydra.

`python -m trainyard model=cnn optimizer=adam` composes a run, trains it, tests it and writes it down. From Python:

    from trainyard.config import compose
    from trainyard.training import train

    best_validation_score = train(compose(["model=cnn", "optimizer=adam"]))

Importing this package imports nothing heavy: torch and lightning come with `trainyard.training`.
"""

from trainyard import torchvision_ops as torchvision_ops

__version__ = "0.1.0"
