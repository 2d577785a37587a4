"""How sure an accuracy is."""

import numpy as np

DRAWS = 10_000


def accuracy_interval(hits: int, examples: int, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy by the percentile bootstrap (Efron 1979).

    The examples are drawn again with replacement, as many as there are, and the accuracy is taken each time. Only right
    and wrong matter, so a draw is exactly a binomial number of hits, and no example need be touched. It says how far
    the accuracy may be off for other examples of the same kind, not for another training. Where all are right, or
    none, every draw is the same and the interval has no width: few examples then say less than it seems.

    Args:
        hits: examples that are right.
        examples: all of them, at least 1.
        seed: of the draws.
    """
    drawn = np.random.default_rng(seed).binomial(examples, hits / examples, DRAWS) / examples
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
