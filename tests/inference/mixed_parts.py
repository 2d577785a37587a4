"""A data module of a user with a description for built-in models, and a module of a user for built-in data."""

from torch import Tensor

from tests.user_modules.template import LitDataModule, LitModule
from trainyard.data.loading.spec import Column, DataSpec


class DescribedRows(LitDataModule):
    @property
    def spec(self) -> DataSpec:
        columns = tuple(Column(f"x{number}") for number in range(16))
        return DataSpec((16,), ("a", "b", "c"), columns, (0.0,) * 16, (1.0,) * 16)


class OnPixels(LitModule):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(1).float() / 255)

    def model_step(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        x, y = batch
        return super().model_step((x, y.clamp(max=2)))
