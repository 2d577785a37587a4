"""A model from its checkpoint alone."""

import pkgutil
from pathlib import Path

import torch

from trainyard.errors import reject
from trainyard.models.classifier import Classifier

PACKAGE = "trainyard.models."


def load_model(checkpoint: Path) -> Classifier:
    """Rebuild the model that a checkpoint holds, with its weights, on the CPU; no config or data is needed.

    Raises:
        ConfigError: the file names a class that is none of the project's models; nothing else is ever built.
    """
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    name = str(stored["model_class"])
    kind = pkgutil.resolve_name(name) if name.startswith(PACKAGE) else None
    if not (isinstance(kind, type) and issubclass(kind, Classifier)):
        raise reject("checkpoint", checkpoint, f"it holds a {name}", f"a model of {PACKAGE.rstrip('.')}")
    return kind.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
