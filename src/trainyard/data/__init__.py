"""What models are trained on: sources of examples, their splits, and batches that are already on the device."""
