"""Trained models for other programs: raw inputs to probabilities, verified."""
