"""Callback that computes the features of a frozen backbone once and trains the head on them."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import lightning as L
import torch
from torch import Tensor

from trainyard.data.cache.features import Backbone, Features, cached_features
from trainyard.data.loading.datamodule import DataModule
from trainyard.data.loading.spec import MappedRows
from trainyard.io.files import relative
from trainyard.models.transfer import TransferModel

log = logging.getLogger(__name__)

Inputs = Mapping[str, Tensor | MappedRows]


class FeatureCache(L.Callback):
    """Trains the head on cached features instead of running a frozen backbone in each epoch.

    The results are the same, up to rounding. With random augmentation nothing is cached, and the log says so.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder).expanduser() / "features"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Replace the images of the data module by features, before Lightning requests batches."""
        data = getattr(trainer, "datamodule", None)
        if stage != "fit" or not isinstance(pl_module, TransferModel) or not isinstance(data, DataModule):
            return
        if pl_module.finetune.unfreeze_times:
            return
        if data.augment:
            log.info("features   not cached: random augmentation changes the images in each epoch")
            return
        found, inputs = self.features(trainer, pl_module, data)
        count = sum(map(len, data.splits.values()))
        data.report["features"] = {"images": count, "computed": found.computed}
        how = "computed, cached in" if found.computed else "from"
        if trainer.is_global_zero:
            log.info("features   of %d images %s %s", count, how, relative(self.folder))
        data.replace_inputs(inputs)

    def features(self, trainer: L.Trainer, model: TransferModel, data: DataModule) -> tuple[Features, Inputs]:
        """Return the features of all images, and the inputs of each split: in memory if they fit, else mapped."""
        backbone, key = backbone_function(trainer, model), feature_key(trainer, model)
        size = data.evaluation_batch_size(model, model.spec.input_shape)
        found = cached_features(data.splits, backbone, key, self.folder, size)
        count, width = sum(map(len, data.splits.values())), next(iter(found.splits.values())).shape[1:]
        in_memory = data.placement.fits(count, width, torch.float32.itemsize)
        return found, {name: rows.read_all() if in_memory else rows for name, rows in found.splits.items()}


def backbone_function(trainer: L.Trainer, model: TransferModel) -> Backbone:
    """Return the backbone as a function from images to features, on the device and in the precision of the run."""
    device = trainer.strategy.root_device
    trainer.precision_plugin.convert_module(model.to(device))  # Lightning does it later

    def features(images: Tensor) -> Tensor:
        with torch.inference_mode(), trainer.precision_plugin.forward_context():
            return model.features(images.to(device)).float().cpu()

    return features


def feature_key(trainer: L.Trainer, model: TransferModel) -> str:
    """Return a hash of the weights, preprocessing and arithmetic, on which features depend besides the images."""
    import timm

    arithmetic = (timm.__version__, torch.__version__, trainer.strategy.root_device.type, trainer.precision)
    inputs = (model.hparams["backbone"], model.spec.input_shape, model.spec.value_range, model.input_size, model.mode)
    key = hashlib.sha256(repr((*inputs, arithmetic)).encode())
    for network in (model.normalize, model.backbone):
        for name, tensor in network.state_dict().items():
            dense = tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor  # contiguous in channels_last
            key.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            key.update(dense.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return key.hexdigest()
