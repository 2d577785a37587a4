"""Jobs of a sweep that are trained together, with the parameters of their networks stacked in one model."""
