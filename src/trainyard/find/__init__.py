"""Values that are found by trying them for a few steps: the learning rate and the batch size."""
