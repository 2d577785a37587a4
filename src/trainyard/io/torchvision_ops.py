"""Make `import torchvision` work with a CPU-only torch.

PyPI's Linux wheel of torchvision is compiled for CUDA builds of torch. With a CPU-only torch its operators cannot be
loaded, and the import fails with "operator torchvision::nms does not exist" (pytorch/vision#9085), as do `import
lightning` and `import timm`. Declaring the two missing operators is enough: everything except the compiled detection
operators works, and those raise an error when they are called.

Importing this module installs a finder on `sys.meta_path`. It acts at the first import of a part of torchvision after
torchvision tried to load its operators, and only if that failed. A `.pth` file imports this module in every interpreter
of the environment, so it imports nothing else, not even torch.
"""

import sys

NMS_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries: list[object] = []  # torch removes a declaration when its Library object is collected


class TorchvisionOps:
    """A finder that never finds a module; it declares the missing operators just before torchvision needs them."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Declare the operators once torchvision has tried to load them; return `None` for every module."""
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
