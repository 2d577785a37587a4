"""Jobs of a sweep that are trained together, with the parameters of their networks stacked into one."""
