"""CPU time to compose and check a job of a sweep: `python scripts/benchmark_composition.py [ROUNDS]`.

Each round composes and checks the same jobs, which differ in a learning rate, with Hydra alone and as a sweep does it.
Prints medians over the rounds.
"""

import gc
import sys
from collections.abc import Callable
from functools import partial

from benchmark_helpers import cpu_time, measure_rounds, median, print_table
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from trainyard.config.composition import CONF_DIR, CONFIG_NAME, HYDRA_VERSION_BASE
from trainyard.config.objective import Objective
from trainyard.sweeps.execution.job_checks import find_problem, find_steps_problem
from trainyard.sweeps.execution.job_configs import JobConfigs
from trainyard.sweeps.execution.job_parts import JobParts

JOBS, ROUNDS = 20, 7
OBJECTIVE = Objective("val/acc", "max")


def job(number: int) -> list[str]:
    """Return the overrides of a job."""
    return ["model=cnn", "callbacks=none", f"optimizer.lr={number + 1}e-3", f"hydra.sweep.subdir={number}"]


def milliseconds(step: Callable[[int], object]) -> float:
    """Return the CPU time of a step per job."""
    return cpu_time(lambda: [step(number) for number in range(JOBS)]) / JOBS


def main() -> None:
    """Measure and print a line for each step."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    with initialize_config_dir(str(CONF_DIR), version_base=HYDRA_VERSION_BASE):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration(CONFIG_NAME, ["hydra.job.name=train"], run_mode=RunMode.MULTIRUN)
        configs = JobConfigs(loader, sweep)
        composed = [configs.compose(job(number)) for number in range(JOBS)]
        steps: dict[str, Callable[[int], object]] = {
            "composed by Hydra": lambda number: loader.load_sweep_config(sweep, job(number)),
            "composed for a sweep": lambda number: configs.compose(job(number)),
            "split into parts, which share checks": lambda number: JobParts.split(job(number)),
            "checked": lambda number: find_problem(composed[number], OBJECTIVE),
            "checked, only values of the optimizer": lambda number: find_steps_problem(composed[number], OBJECTIVE),
        }
        assert not any(find_problem(config, OBJECTIVE) for config in composed)
        gc.freeze()
        results = measure_rounds({name: partial(milliseconds, step) for name, step in steps.items()}, rounds)
    print_table(f"medians of {rounds} rounds", ["ms/job"], [[name, f"{median(results, name):.1f}"] for name in steps])


if __name__ == "__main__":
    main()
