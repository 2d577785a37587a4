"""One run: training, its directory, its Trainer and its processes."""
