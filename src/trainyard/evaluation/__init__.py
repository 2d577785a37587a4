"""How good a model is, in detail: what it predicts on a split, and the numbers and figures that tell of it."""
