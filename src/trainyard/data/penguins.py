"""Palmer penguins: four measurements of 342 penguins of three species.

Source: A. M. Horst, A. P. Hill, K. B. Gorman, "palmerpenguins", 2020, https://doi.org/10.5281/zenodo.3960218, CC0, as
the package `palmerpenguins` carries it.
"""

import torch

from trainyard.data.rows import Rows
from trainyard.data.spec import Column, Examples


class Penguins(Rows):
    """Rows of four measurements (millimetres and grams), 3 classes; arguments as in `DataModule`."""

    classes = ("Adelie", "Chinstrap", "Gentoo")
    columns = tuple(map(Column, ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")))

    def read(self) -> dict[str, Examples]:
        """Return the rows whose four measurements are complete, float32 `[342, 4]`, and their species."""
        from palmerpenguins import load_penguins  # pandas takes half a second to import

        features = [column.name for column in self.columns]
        table = load_penguins().dropna(subset=features)
        x = torch.tensor(table[features].to_numpy(), dtype=torch.float32)
        y = torch.tensor([self.classes.index(species) for species in table["species"]])
        return {"train": Examples(x, y)}
