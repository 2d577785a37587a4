"""Runs of plain Lightning modules, as directories with a config, a result and a checkpoint."""

import json
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import OmegaConf

from trainyard.config.composition import instantiate
from trainyard.run.run_builder import build_data, build_model

USER = "tests.user_modules"
TEMPLATE = {
    "model": {
        "_target_": f"{USER}.template.GestureClassifier",
        "net": {"_target_": f"{USER}.template.GestureNet", "width": 8},
        "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.01, "weight_decay": 0.0},
        "scheduler": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "_partial_": True, "mode": "min"},
        "compile": False,
    },
    "data": {"_target_": f"{USER}.template.Gestures", "batch_size": 32},
}
UNET = {
    "model": {"_target_": f"{USER}.unet.UNet", "channels": 4},
    "data": {"_target_": f"{USER}.unet.Rectangles", "batch_size": 32},
}
CHARACTERS = {
    "model": {"_target_": f"{USER}.transformer.CharTransformer"},
    "data": {"_target_": f"{USER}.transformer.Characters"},
}
AUTOENCODER = {
    "model": {"_target_": f"{USER}.autoencoder.AutoEncoder"},
    "data": {"_target_": f"{USER}.autoencoder.Waves"},
}
TRAINER = {"_target_": "lightning.Trainer", "max_epochs": 1, "accelerator": "cpu", "precision": "32-true"}
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}


def record_module_run(folder: Path, parts: dict[str, Any], **changes: Any) -> Path:
    """Train and test parts of a config for an epoch with Lightning alone, and write the directory of a run."""
    own = {"dir": str(folder), "choices": {"model": "mine", "data": "mine"}, "overrides": []}
    config = {"seed": 3, "trainer": TRAINER, **parts, "run": own, "sweep": {"pruner": "none", "sampler": None}}
    cfg = OmegaConf.create({**config, **changes})
    L.seed_everything(cfg.seed, verbose=False)
    data = build_data(cfg)
    model = build_model(cfg, data)
    trainer = instantiate(cfg.trainer, **QUIET)
    trainer.fit(model, data)
    has_test = type(model).test_step is not L.LightningModule.test_step
    metrics = trainer.test(model, data, verbose=False)[0] if has_test else {}
    (folder / "checkpoints").mkdir(parents=True)
    checkpoint = {"state_dict": model.state_dict(), "epoch": 0, "global_step": 1, "callbacks": {"LastCheckpoint": {}}}
    torch.save({**checkpoint, "pytorch-lightning_version": L.__version__}, folder / "checkpoints" / "best.ckpt")
    OmegaConf.save(cfg, folder / "config.yaml")
    metrics = {**metrics, "val/loss": 0.5}
    objective = {"name": "val/loss", "value": 0.5, "epoch": 1}
    result = {"status": "completed", "objective": objective, "metrics": metrics, "epochs": 1}
    result |= {"checkpoint": "checkpoints/best.ckpt", "seconds": 1.0}
    (folder / "result.json").write_text(json.dumps(result))
    return folder
