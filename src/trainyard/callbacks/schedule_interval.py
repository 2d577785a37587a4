"""Steps the schedules of `trainyard.optim.schedules` after each optimizer step, whatever interval a module chose."""

import lightning as L

from trainyard.optim.schedules import StepSchedule


class ScheduleInterval(L.Callback):
    """Sets the interval of schedules that are functions of the step.

    A module that receives any schedule as a partial usually returns it without an interval, and Lightning's default is
    the epoch.
    """

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, StepSchedule):
                config.interval, config.frequency = "step", 1
