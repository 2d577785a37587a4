"""Pictures of trained runs, as files."""
