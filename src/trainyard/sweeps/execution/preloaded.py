"""What every job needs, imported once: the server that forks jobs imports this module, and has it all.

Nothing here may start a thread or touch a GPU, since neither outlives a fork.
"""

import sys

sys.path[:] = filter(None, sys.path)  # not from the current folder, as in the process that asks for it

import gc  # noqa: E402
import pkgutil  # noqa: E402
from importlib import import_module  # noqa: E402

import trainyard  # noqa: E402
from trainyard.import_path import forget_safe_path  # noqa: E402

forget_safe_path()

gc.disable()  # a million objects come, none of them garbage
for name in ("hydra.core.utils", "timm", "torch.utils.tensorboard.summary"):
    import_module(name)
for module in pkgutil.walk_packages(trainyard.__path__, "trainyard."):
    if not module.name.startswith(("trainyard.__main__", "trainyard.sweeps")):
        import_module(module.name)
import_module("trainyard.provenance").packages()  # keeps what it finds
gc.freeze()  # jobs need not look through them either, which would also copy the memory that they share
gc.enable()
