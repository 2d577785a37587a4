"""What a person sees in a terminal: lines that are redrawn, tables, curves, times."""
