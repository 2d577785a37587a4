"""Earlier runs: find, list, read, compare and reproduce them."""
