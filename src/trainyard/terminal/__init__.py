"""Terminal output: progress bars, tables, curves, durations."""
