"""Data: sources of examples, their splits, augmentation, and batches on the training device."""
