"""Hydra's plugins of Trainyard, which Hydra finds by the name of this package."""
