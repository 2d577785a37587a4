"""Which parameters an optimizer sees, and how its learning rate changes over a run."""
