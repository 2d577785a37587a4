"""Parameter groups, learning-rate schedules and fine-tuning plans."""
