"""Processes that train together: how they start, and how they end when one of them dies."""
