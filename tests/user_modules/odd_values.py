"""An autoencoder whose arguments have the names of arguments of Trainyard's models, but other types."""

from typing import Any

from tests.user_modules.autoencoder import AutoEncoder


class OddValues(AutoEncoder):
    def __init__(
        self,
        lr: float,
        gamma: float,
        alpha: int,
        channels: int,
        hidden_dims: int,
        dropout: float | None,
        kernel_size: int,
        blocks: list[int],
        label_smoothing: int,
        weights: float,
    ) -> None:
        super().__init__(lr)
        given: tuple[Any, ...] = (gamma, alpha, channels, hidden_dims, dropout, kernel_size, blocks, label_smoothing)
        assert (*given, weights) == (2.0, 2, 3, 128, None, 4, [2, 2], -1, 0.5)
