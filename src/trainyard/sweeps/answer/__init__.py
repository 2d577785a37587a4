"""What a sweep says when it is done."""
