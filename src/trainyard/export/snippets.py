"""How an exported file is used, in a few lines for each format; the tests run them."""

ONNX = """\
```python
import numpy, onnxruntime
session = onnxruntime.InferenceSession({file})
shape = session.get_inputs()[0].shape[1:]
kind = numpy.uint8 if len(shape) == 3 else numpy.float32
x = numpy.zeros((2, *shape), dtype=kind)  # raw inputs
[probabilities] = session.run(["probabilities"], {{"input": x}})
```"""

TORCH = """\
```python
import torch
program = torch.export.load({file})
model = program.module()
x = program.example_inputs[0][0]  # raw inputs
probabilities = model(x)
```"""

SAFETENSORS = """\
```python
from pathlib import Path
from trainyard.models.load import load_model
model = load_model(Path({file}))
x = model.example_input_array  # raw inputs
probabilities = model.predict_step(x, 0)
```"""

SNIPPETS = {"onnx": ONNX, "torch": TORCH, "safetensors": SAFETENSORS}
