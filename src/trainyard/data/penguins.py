"""Palmer penguins: four measurements of 342 penguins of three species.

Source: A. M. Horst, A. P. Hill, K. B. Gorman, "palmerpenguins", 2020, https://doi.org/10.5281/zenodo.3960218, CC0, as
the package `palmerpenguins` carries it.
"""

import torch

from trainyard.data.module import DataModule
from trainyard.data.spec import Examples


class Penguins(DataModule):
    """Rows of four measurements (millimetres and grams), 3 classes; arguments as in `DataModule`."""

    kind = "rows"
    classes = ("Adelie", "Chinstrap", "Gentoo")
    features = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")

    def read(self) -> Examples:
        """Return the rows whose four measurements are complete, float32 `[342, 4]`, and their species."""
        from palmerpenguins import load_penguins  # pandas takes half a second to import

        table = load_penguins().dropna(subset=list(self.features))
        x = torch.tensor(table[list(self.features)].to_numpy(), dtype=torch.float32)
        y = torch.tensor([self.classes.index(species) for species in table["species"]])
        return Examples(x, y)
