"""Composition, instantiation and validation of configs."""
