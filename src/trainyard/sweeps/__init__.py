"""Many runs as one: what they are, what became of them, and what they say."""
