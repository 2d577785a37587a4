"""Hydra's plugins of the project: it finds them by their place."""
