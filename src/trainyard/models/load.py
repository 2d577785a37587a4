"""A model from its checkpoint alone."""

from pathlib import Path

import torch

from trainyard.models.classifier import Classifier


def load_model(checkpoint: Path) -> Classifier:
    """Rebuild the model that a checkpoint holds, with its weights, on the CPU; no config or data is needed.

    The file says which class it is; only the project's own are built.
    """
    known = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in Classifier.__subclasses__()}
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    kind = known[stored["model_class"]]
    return kind.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
