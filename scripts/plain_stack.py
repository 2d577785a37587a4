"""A hand-written stacked training, without Trainyard's loop: a baseline of `benchmark_sweep.py`.

`python scripts/plain_stack.py --epochs 20` trains an mlp on the digits for 4 learning rates and 4 seeds at once, and
prints the best validation accuracy of each. It writes no files.
"""

import argparse
from itertools import pairwise

import torch
from torch import Tensor, nn

RATES, SEEDS, SIZES = (0.0003, 0.001, 0.003, 0.01), range(4), (64, 256, 128, 10)


def logits(x: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the logits of all networks: `[K, B, 64]` -> `[K, B, 10]`."""
    for place, (weight, bias) in enumerate(layers):
        x = torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))
        x = x.relu() if place < len(layers) - 1 else x
    return x


def stacked_layers() -> list[tuple[Tensor, Tensor]]:
    """Return new weights and biases of a network for each seed and learning rate."""
    networks = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        linear = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(SIZES)]
        networks += [[(layer.weight.detach(), layer.bias.detach()) for layer in linear]] * len(RATES)
    layers = zip(*networks, strict=True)
    return [(torch.stack([w for w, _ in each]), torch.stack([b for _, b in each])) for each in layers]


def main() -> None:
    """Train and print the accuracies."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    args = parser.parse_args()
    from trainyard.data.sources.builtin import Digits

    parts = {name: (part.x.flatten(1) / 255, part.y) for name, part in Digits().splits.items()}  # type: ignore[union-attr]
    (x, y), (val_x, val_y) = parts["train"], parts["val"]
    layers = stacked_layers()
    parameters = [tensor.requires_grad_() for layer in layers for tensor in layer]
    rate = torch.tensor(RATES).repeat(len(SEEDS))
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    best, step = torch.zeros(len(rate)), 0
    for _ in range(args.epochs):
        order = torch.stack([torch.randperm(len(x), generator=g) for g in generators]).repeat_interleave(len(RATES), 0)
        for index in order.split(args.batch, dim=1):
            outputs = logits(x[index], layers)
            loss = nn.functional.cross_entropy(outputs.flatten(0, 1), y[index].flatten(), reduction="sum")
            gradients = torch.autograd.grad(loss / index.shape[1], parameters)
            step += 1
            with torch.no_grad():
                for p, g, (first, second) in zip(parameters, gradients, moments, strict=True):
                    first.lerp_(g, 0.1)
                    second.lerp_(g.square(), 0.001)
                    scale = (second / (1 - 0.999**step)).sqrt_().add_(1e-8)
                    p -= rate.view(-1, *[1] * (p.ndim - 1)) * (first / (1 - 0.9**step)) / scale
        with torch.no_grad():
            correct = logits(val_x.expand(len(rate), -1, -1), layers).argmax(dim=2) == val_y
        best = torch.maximum(best, correct.float().mean(dim=1))
    print(best.tolist())


if __name__ == "__main__":
    main()
