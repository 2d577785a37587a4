"""A sweep with plain Lightning and Hydra's own launcher, as in templates: the baseline of `benchmark_sweep.py`.

`python scripts/plain_sweep.py -m lr=0.001,0.01 seed=0,1` trains an mlp on the digits with DataLoaders and torchmetrics.
"""

from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig


@dataclass
class Config:
    """Hyperparameters of a job."""

    lr: float = 0.001
    seed: int = 0
    epochs: int = 20
    batch_size: int = 64


ConfigStore.instance().store(name="plain", node=Config)


@hydra.main(version_base="1.3", config_path=None, config_name="plain")
def main(cfg: Config) -> float:
    """Train one job; return its best validation accuracy."""
    import lightning as L
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.loggers import TensorBoardLogger
    from plain_lightning import PlainModule
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    from trainyard.data.sources.builtin import Digits
    from trainyard.models.input_layers import Normalize
    from trainyard.models.mlp import fully_connected

    L.seed_everything(cfg.seed, verbose=False)
    data = Digits(batch_size=cfg.batch_size)
    parts = {name: TensorDataset(*part.__getitems__([*range(len(part))])) for name, part in data.splits.items()}
    net = nn.Sequential(Normalize([0.3], [0.4]), fully_connected(64, [256, 128], 10, "relu", 0.0))
    module = PlainModule(net, cfg.lr)
    folder = Path(HydraConfig.get().runtime.output_dir)
    checkpoints = ModelCheckpoint(folder, monitor="val/acc", mode="max", save_last=True)
    trainer = L.Trainer(
        max_epochs=cfg.epochs,
        accelerator="cpu",
        logger=TensorBoardLogger(folder),
        callbacks=[checkpoints],
        num_sanity_val_steps=0,
    )
    trainer.fit(module, DataLoader(parts["train"], cfg.batch_size, shuffle=True), DataLoader(parts["val"], 64))
    trainer.test(module, DataLoader(parts["test"], 64), ckpt_path="best")
    assert checkpoints.best_model_score is not None
    return float(checkpoints.best_model_score)


if __name__ == "__main__":
    main()
