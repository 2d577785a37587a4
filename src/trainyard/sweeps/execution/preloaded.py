"""Imports for all jobs, by their fork server. Nothing here may start a thread or use a GPU: neither survives a fork."""

import sys

sys.path[:] = filter(None, sys.path)  # without the current folder, as in the parent process

import gc  # noqa: E402
import pkgutil  # noqa: E402
from importlib import import_module  # noqa: E402
from platform import platform  # noqa: E402

import trainyard  # noqa: E402
from trainyard.config.composition import compose  # noqa: E402
from trainyard.config.import_path import forget_safe_path  # noqa: E402
from trainyard.run.compatibility import check_config  # noqa: E402
from trainyard.run.provenance import list_packages, read_own_git_state  # noqa: E402
from trainyard.terminal.logs import close_log, start_logging  # noqa: E402

forget_safe_path()

gc.disable()
for name in (
    *("hydra.core.utils", "timm", "torch.utils.tensorboard.summary", "tensorboard.plugins.hparams.metadata"),
    *("torch.utils.serialization.config", "fsspec.implementations.chained"),
):
    import_module(name)
for module in pkgutil.walk_packages(trainyard.__path__, "trainyard."):
    if not module.name.startswith(("trainyard.__main__", "trainyard.sweeps")):
        import_module(module.name)
for prepare in (list_packages, read_own_git_state, platform):  # they cache their results, as do parsers and checks
    prepare()
start_logging([])  # compiles patterns
close_log([])
check_config(compose(["hydra.run.dir=."]))
gc.freeze()  # so that garbage collection in a job does not copy shared memory
gc.enable()
