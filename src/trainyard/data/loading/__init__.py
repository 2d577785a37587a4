"""The DataModule base class and its parts: specification, splits, samplers, loaders, statistics and fingerprint."""
