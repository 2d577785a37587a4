"""What the last layer sees, as points in TensorBoard's Projector."""

from typing import Any, ClassVar

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainyard.callbacks.pictures import Picture
from trainyard.callbacks.predictions import SPLIT
from trainyard.data.loading.datamodule import DataModule
from trainyard.tasks.classification import Predictions

MOST = 400  # examples
DIMENSIONS = 32  # wider features are projected onto their principal components
SPRITE = 48  # pixels


class Embedding(Picture):
    """Shows the inputs of the last layer, with class and prediction of each example and, for images, the image."""

    seconds: ClassVar[float] = 0.6

    def draw(self, writer: Any, predictions: Predictions, trainer: L.Trainer) -> None:
        """Write the first validation examples; nothing where the network has no linear layer."""
        model, data = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]
        head = getattr(model, "head", model)  # a backbone may have linear layers too
        last = next((m for m in reversed(list(head.modules())) if isinstance(m, nn.Linear)), None)
        if last is None:
            return
        count = min(MOST, len(predictions))
        names, truth, guesses = predictions.classes, predictions.labels.tolist(), predictions.predicted.tolist()
        one_line = [" ".join(name.split()) for name in names]  # a tab would be a column more
        words = [[one_line[t], one_line[g], str(t == g)] for t, g in zip(truth, guesses, strict=True)][:count]
        writer.add_embedding(
            narrowed(inputs_of(last, model, data, count)),
            metadata=words,
            metadata_header=["true", "predicted", "right"],
            label_img=sprites(data, count),
            global_step=trainer.global_step,
            tag=f"{SPLIT}_embedding",
        )


@torch.no_grad()
def inputs_of(layer: nn.Module, model: L.LightningModule, data: DataModule, count: int) -> Tensor:
    """Return what a layer sees of the first validation examples: `[count, features]`."""
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].float().cpu()))
    try:
        for x, _ in data.loader(SPLIT, all_ranks=True):
            model.forward(x)
            if sum(map(len, seen)) >= count:
                break
    finally:
        hook.remove()
    return torch.cat(seen)[:count]


def narrowed(features: Tensor) -> Tensor:
    """Return features that are wider than `DIMENSIONS` by their principal components."""
    width = min(DIMENSIONS, len(features))
    if features.shape[1] <= width:
        return features
    centred = features - features.mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        _, _, components = torch.pca_lowrank(centred, width, center=False)
    return centred @ components


def sprites(data: DataModule, count: int) -> Tensor | None:
    """Return the images as small pictures, float `[count, 3, S, S]` from 0 to 1; `None` of rows."""
    if data.spec.kind != "images":
        return None
    images, _ = data.original(SPLIT).__getitems__(list(range(count)))
    small = F.interpolate(images.float() / 255, (SPRITE, SPRITE), mode="bilinear", antialias=True)
    return small.expand(-1, 3, -1, -1)
