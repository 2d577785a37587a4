"""The data modules that configs name."""
