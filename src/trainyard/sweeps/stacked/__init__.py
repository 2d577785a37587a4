"""Jobs that train together, as one network of stacked parameters."""
