"""Image files: listing, decoding and pixel values."""
