"""Runs as their directories tell of them: found by name, read, and not trusted."""
