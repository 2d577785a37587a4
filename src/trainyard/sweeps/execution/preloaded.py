"""Imports for all jobs, by their fork server. Nothing here may start a thread or use a GPU: neither survives a fork."""

import sys

sys.path[:] = filter(None, sys.path)  # without the current folder, as in the parent process

import gc  # noqa: E402
import pkgutil  # noqa: E402
from importlib import import_module  # noqa: E402

import trainyard  # noqa: E402
from trainyard.config.import_path import forget_safe_path  # noqa: E402
from trainyard.run.provenance import list_packages  # noqa: E402

forget_safe_path()

gc.disable()
for name in ("hydra.core.utils", "timm", "torch.utils.tensorboard.summary"):
    import_module(name)
for module in pkgutil.walk_packages(trainyard.__path__, "trainyard."):
    if not module.name.startswith(("trainyard.__main__", "trainyard.sweeps")):
        import_module(module.name)
list_packages()  # caches its result
gc.freeze()  # so that garbage collection in a job does not copy shared memory
gc.enable()
