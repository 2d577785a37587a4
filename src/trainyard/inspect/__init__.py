"""Before and after training: data, model, schedule, learning rate, batch size, curves, decisions and layer outputs."""
