"""How a search chooses its next job, and which jobs it ends early."""
