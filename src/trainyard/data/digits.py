"""The 1,797 handwritten digits of the UCI repository, 8x8 pixels, 10 classes.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49, CC BY 4.0; its test part, which scikit-learn serves as `load_digits`. It lies beside
this file as an array uint8 `[65, 1797]`, the 64 pixels (0 to 16) and the label of each digit, compressed by LZMA:
scikit-learn would bring SciPy along, which makes every `import lightning` a second slower.
"""

import lzma
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import torch

from trainyard.data.chosen import chosen
from trainyard.data.module import DataModule
from trainyard.data.spec import Examples


class Digits(DataModule):
    """Real handwritten digits that need no download: images 1x8x8, 10 classes.

    Args:
        digits: those that are used, at least two, in the order of the labels.
        shared: as in `DataModule`.

    Raises:
        ConfigError: another digit, one twice, or a single one.
    """

    kind = "images"

    def __init__(self, batch_size: int | None = None, *, digits: Sequence[int] = range(10), **shared: Any) -> None:
        super().__init__(batch_size, **shared)
        self.classes = chosen("data.digits", digits, list("0123456789"), least=2)

    def read(self) -> dict[str, Examples]:
        """Return the images of the digits, uint8 `[N, 1, 8, 8]`, ink 255, and their labels."""
        with files("trainyard.data").joinpath("digits.npy.xz").open("rb") as packed, lzma.open(packed) as stream:
            table = np.load(stream)
        pixels = np.rint(table[:64].T * (255 / 16)).astype(np.uint8)
        images = torch.from_numpy(pixels.reshape(-1, 1, 8, 8))
        place = torch.tensor([self.classes.index(name) if name in self.classes else -1 for name in "0123456789"])
        labels = place[torch.from_numpy(table[64].astype(np.int64))]
        return {"train": Examples(images[labels >= 0], labels[labels >= 0])}
