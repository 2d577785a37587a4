"""Predictions of images and rows that no training has seen, by a model from its checkpoint alone."""
