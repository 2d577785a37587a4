"""Random draws that depend on nothing but the numbers they are keyed by."""

import numpy as np
import torch


def generator(*key: int) -> torch.Generator:
    """Return a CPU generator that is a pure function of `key`, such as (seed, epoch, batch).

    Nearby keys give unrelated streams (NumPy's SeedSequence mixes them), so a run can be picked up at any step with
    the draws it would have made.
    """
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state))
