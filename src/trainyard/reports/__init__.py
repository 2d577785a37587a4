"""Metrics, figures and reports, which depend on the type of the target."""
