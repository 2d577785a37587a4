"""Files of checkpoints: whole, sealed with a checksum, and written now and then."""
