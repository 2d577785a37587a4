"""What a run is made of, shown before it is trained: data, model, learning rates, and what learns when."""
