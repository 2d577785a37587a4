"""A batch that is too large for the memory, computed part by part."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TypeVar

import torch
from lightning.pytorch.utilities.memory import is_oom_error
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class SplitBatch:
    """Computes a batch in parts, twice as many each time the memory does not suffice.

    What a part computes on its way is dropped and computed again for its gradient (Chen et al. 2016,
    arXiv:1604.06174), so no more than one part's is in memory. Loss, gradient and number of steps are those of the
    whole batch; only batch normalisation sees the parts.

    Attributes:
        parts: how many.
        allowed: whether a batch may be split; if not, the first lack of memory ends the run.
    """

    def __init__(self) -> None:
        self.parts = 1
        self.allowed = True

    def forward(self, model: nn.Module, x: Tensor) -> Tensor:
        """Return what a model makes of a batch, `[B, ...] -> [B, K]`."""
        if self.parts == 1:
            return model(x)  # type: ignore[no-any-return]
        if not torch.is_grad_enabled():
            return torch.cat([model(part) for part in x.chunk(self.parts)])
        computed = partial(checkpoint, model, use_reentrant=False, context_fn=partial(contexts, model))
        return torch.cat([computed(part) for part in x.chunk(self.parts)])

    def until_it_fits(self, act: Callable[[], Result], size: int, undo: Callable[[], None] = lambda: None) -> Result:
        """Return what `act` returns, after as many splits as it takes.

        Args:
            act: does something with a batch.
            size: of the batch.
            undo: what `act` may have done before it failed.

        Raises:
            RuntimeError: torch's, when parts of one example are too large, or a batch may not be split.
        """
        while True:
            try:
                return act()
            except RuntimeError as error:
                if not self.allowed or self.parts >= size or not is_lack_of_memory(error):
                    raise
            undo()  # and not before: the error holds on to what fills the memory
            gc.collect()
            if torch.accelerator.is_available():
                torch.accelerator.memory.empty_cache()
            self.parts *= 2
            each = -(-size // self.parts)
            text = "out of memory: from now on %d examples at once, %d times, for each batch of %d (oom=stop refuses)"
            log.warning(text, each, self.parts, size)


def is_lack_of_memory(error: RuntimeError) -> bool:
    """Whether memory did not suffice, of whichever device."""
    return isinstance(error, torch.OutOfMemoryError) or is_oom_error(error)


def contexts(model: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return what holds while a part is computed first, and again."""
    return nullcontext(), statistics_kept(model)


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Have batch normalisation leave its running statistics as they are."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
