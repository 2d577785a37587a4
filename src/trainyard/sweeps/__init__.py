"""Sweeps: search space, search, execution, leaderboard and plan."""
