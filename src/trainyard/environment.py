"""What the environment must hold where libraries read numbers from it, as soon as they are imported."""

import os

from trainyard.errors import reject

NUMBERS = ("RANK", "LOCAL_RANK", "JSM_NAMESPACE_RANK", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS")


def check_environment() -> None:
    """Raise a ConfigError for a variable that launchers set to a number, and that holds something else."""
    for name in NUMBERS:
        value = os.environ.get(name, "0")
        if not value.isdecimal():
            raise reject(name, value, "no whole number", f"what the launcher sets, or `unset {name}`")
