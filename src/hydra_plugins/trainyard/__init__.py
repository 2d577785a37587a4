"""Trainyard's plugins, which Hydra finds by the name of this package."""
