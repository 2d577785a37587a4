"""What Lightning lacks: progress by time, a stop at a loss that is no number, config and graph in TensorBoard."""
