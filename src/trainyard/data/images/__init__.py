"""Image files: join_limited, decoding, and pixel values."""
