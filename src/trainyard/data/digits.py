"""The 1,797 handwritten digits of the UCI repository, 8x8 pixels, 10 classes.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49, CC BY 4.0; its test part, which scikit-learn serves as `load_digits`. It lies beside
this file as an array uint8 `[65, 1797]`, the 64 pixels (0 to 16) and the label of each digit, compressed by LZMA:
scikit-learn would bring SciPy along, which makes every `import lightning` a second slower.
"""

import lzma
from importlib.resources import files

import numpy as np
import torch

from trainyard.data.module import DataModule
from trainyard.data.spec import Examples


class Digits(DataModule):
    """Real handwritten digits that need no download: images 1x8x8, 10 classes; arguments as in `DataModule`."""

    kind = "images"
    classes = tuple("0123456789")

    def read(self) -> dict[str, Examples]:
        """Return the images uint8 `[1797, 1, 8, 8]`, ink 255, and their labels."""
        with files("trainyard.data").joinpath("digits.npy.xz").open("rb") as packed, lzma.open(packed) as stream:
            table = np.load(stream)
        pixels = np.rint(table[:64].T * (255 / 16)).astype(np.uint8)
        labels = torch.from_numpy(table[64].astype(np.int64))
        return {"train": Examples(torch.from_numpy(pixels.reshape(-1, 1, 8, 8)), labels)}
