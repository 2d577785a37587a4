"""Lets `import torchvision` succeed beside a CPU build of torch.

The wheel of torchvision for Linux is compiled against a CUDA build of torch. Beside a CPU build its compiled operators
do not load, and the import dies with "operator torchvision::nms does not exist" (pytorch/vision#9085), which takes
`import lightning` and `import timm` down with it. Declaring the two missing operators cures that: everything but the
compiled detection operators works, and those say so when they are called.

Importing this module puts a finder in front of the others. It acts when the first part of torchvision is imported after
its library was tried, only if that library did not load, and never imports torch itself: torchvision has by then. Every
interpreter of the environment imports this file at its start, so it imports nothing more.
"""

import sys

NMS_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[object] = []  # torch forgets a declaration as soon as its Library object is collected


class TorchvisionOps:
    """Finds nothing itself; declares the missing operators at the moment that torchvision is about to need them."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Look at each import until torchvision has tried to load its library; always leaves the finding to others."""
        has_ops = getattr(sys.modules.get("torchvision.extension"), "_has_ops", None)
        if has_ops is not None and fullname.startswith("torchvision."):
            sys.meta_path.remove(self)
            if not has_ops():
                declare_missing_ops()


def declare_missing_ops() -> None:
    """Declare `torchvision::nms` and `torchvision::qnms`, without implementations."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + NMS_SIGNATURE)
    _libraries.append(library)


if "torchvision" not in sys.modules:
    sys.meta_path.insert(0, TorchvisionOps())
