"""What a model learns: the loss, the metrics and the meaning of its outputs, by the kind of target."""
