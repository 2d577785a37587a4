"""A data module of a user with a description for built-in models, and a module of a user for built-in data."""

from torch import Tensor

from tests.user_modules.template import GestureClassifier, Gestures
from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes


class DescribedRows(Gestures):
    @property
    def spec(self) -> DataSpec:
        columns = tuple(Column(f"x{number}") for number in range(16))
        return DataSpec((16,), Classes(("a", "b", "c")), columns, (0.0,) * 16, (1.0,) * 16)


class OnPixels(GestureClassifier):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(1)[:, 24:40].float() / 255)

    def step(self, stage: str, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        return super().step(stage, [x, y.clamp(max=2)])
