"""Distributed training: strategies, and the processes of a run."""
