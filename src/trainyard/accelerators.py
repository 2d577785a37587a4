"""Whether this machine has what the Trainer is to run on."""

import os

from lightning.pytorch.accelerators import (
    Accelerator,
    CPUAccelerator,
    CUDAAccelerator,
    MPSAccelerator,
    XLAAccelerator,
)
from omegaconf import DictConfig

from trainyard.config import group_options
from trainyard.errors import reject

ACCELERATORS: dict[str, type[Accelerator]] = {
    "cpu": CPUAccelerator,
    "cuda": CUDAAccelerator,
    "mps": MPSAccelerator,
    "tpu": XLAAccelerator,
}
OTHERS = ("gpu", "xla")  # names that Lightning has beside


def check_accelerator(cfg: DictConfig) -> None:
    """Raise a ConfigError when the chosen accelerator is not on this machine, or cannot do what is asked of it."""
    wanted = cfg.trainer.get("accelerator", "auto")
    here = [name for name, kind in ACCELERATORS.items() if kind.is_available()]
    if wanted not in ("auto", *ACCELERATORS, *OTHERS):
        raise reject("trainer.accelerator", wanted, "there is no such device", " or ".join(["auto", *here]))
    if wanted not in ("auto", *here, *OTHERS):
        options = group_options("accelerator")
        usable = [name for name, option in options.items() if option.accelerator in ("auto", *here)]
        choice = cfg.run.choices.accelerator
        raise reject("accelerator", choice, f"there is no {wanted} device here", " or ".join(usable))
    if wanted == "cpu" or here == ["cpu"]:
        check_processor(cfg.trainer)


def check_processor(trainer: DictConfig) -> None:
    """Raise a ConfigError for what a processor cannot do: a process for each of many devices, or half precision."""
    devices, most = trainer.get("devices", 1), max(2, os.cpu_count() or 1)
    try:
        count = CPUAccelerator.parse_devices(devices)
    except (TypeError, ValueError) as error:
        raise reject("trainer.devices", devices, "a processor has no such devices", f"1 to {most}") from error
    if devices != "auto" and not 1 <= count <= most:
        raise reject("trainer.devices", devices, f"this machine has {os.cpu_count()} cores", f"1 to {most}")
    precision = trainer.get("precision", "32-true")
    if precision in ("16-mixed", "16-true"):  # Lightning would take another one
        raise reject("trainer.precision", precision, "a processor has none", "32-true, bf16-mixed, bf16-true, 64-true")
