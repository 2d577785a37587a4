"""The interval of schedules in modules that receive them as partials."""

import lightning as L

from trainyard.optim.schedules import set_intervals


class ScheduleInterval(L.Callback):
    """Steps the schedules of `trainyard.optim.schedules` after each step, whatever interval a module chose."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        set_intervals(trainer.lr_scheduler_configs)
