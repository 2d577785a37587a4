"""What all runs were, how two of them differ, and whether one comes out again."""
