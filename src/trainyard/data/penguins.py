"""Palmer penguins: four measurements of 342 penguins of three species.

Source: A. M. Horst, A. P. Hill, K. B. Gorman, "palmerpenguins", 2020, https://doi.org/10.5281/zenodo.3960218, CC0, as
the package `palmerpenguins` carries it.
"""

from collections.abc import Sequence
from typing import Any

import torch

from trainyard.data.chosen import chosen
from trainyard.data.rows import Rows
from trainyard.data.spec import Column, Examples

SPECIES = ("Adelie", "Chinstrap", "Gentoo")
MEASUREMENTS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")


class Penguins(Rows):
    """Rows of measurements (millimetres and grams), a class for each species.

    Args:
        species: at least two of the three, in the order of the labels.
        measurements: at least one of the four.
        shared: as in `DataModule`.

    Raises:
        ConfigError: another species or measurement, one named twice, or too few.
    """

    def __init__(
        self, species: Sequence[str] = SPECIES, measurements: Sequence[str] = MEASUREMENTS, **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.classes = chosen("data.species", species, SPECIES, least=2)
        self.columns = tuple(map(Column, chosen("data.measurements", measurements, MEASUREMENTS, least=1)))

    def read(self) -> dict[str, Examples]:
        """Return the rows of the species whose four measurements are complete, float32 `[N, measurements]`."""
        from palmerpenguins import load_penguins  # pandas takes half a second to import

        table = load_penguins().dropna(subset=list(MEASUREMENTS))
        table = table[table["species"].isin(self.classes)]
        x = torch.tensor(table[[column.name for column in self.columns]].to_numpy(), dtype=torch.float32)
        y = torch.tensor([self.classes.index(species) for species in table["species"]])
        return {"train": Examples(x, y)}
