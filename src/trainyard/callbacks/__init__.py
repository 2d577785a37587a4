"""Callbacks that Lightning lacks: exact resume, checkpoints, progress, pruning, TensorBoard."""
