"""Cost of metrics by name: `python scripts/benchmark_metrics.py`.

Validates the default mlp on 60,000 images of 28 x 28 with 10 classes: without further metrics, with outputs that are
only kept, and with five metrics computed from them. Prints the medians of interleaved rounds, and of their ratios
within a round.
"""

from functools import partial

import torch
from benchmark_helpers import measure_rounds, median, median_ratio, print_table, time_call

from trainyard.config.composition import load_options
from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes
from trainyard.models.mlp import MLP
from trainyard.tasks.metrics import compute_metrics

EXAMPLES, CLASSES, BATCH = 60_000, 10, 512
ROUNDS = 9
METRICS = ("f1_macro", "auroc", "ece", "mcc", "balanced_acc")
VARIANTS = {"defaults": (), **{name: (name,) for name in METRICS}, "all five": METRICS}


def build_model(names: tuple[str, ...]) -> MLP:
    """Return the default mlp with further metrics."""
    options = {name: dict(load_options("metrics")[name][name]) for name in names}
    spec = DataSpec((1, 28, 28), Classes(tuple(map(str, range(CLASSES)))), (), (0.5,), (0.25,))
    return MLP(spec, hidden_dims=[256, 128], task={"metrics": options}).eval()


@torch.no_grad()
def validate(model: MLP, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Validate as Lightning does, without its loop."""
    for x, y in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        model.validation_step((x, y), 0)
    model.sums.pop("val").stacked().tolist()
    if model.kept:
        outputs, targets = (torch.cat(part) for part in zip(*model.kept, strict=True))
        model.kept.clear()
        compute_metrics(model.task, model.task.predictions(outputs), targets)


def main() -> None:
    """Print a row for each set of metrics."""
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (EXAMPLES, 1, 28, 28), dtype=torch.uint8, generator=draws)
    labels = torch.randint(0, CLASSES, (EXAMPLES,), generator=draws)
    models = {name: build_model(names) for name, names in VARIANTS.items()}
    variants = {name: partial(time_call, partial(validate, model, images, labels)) for name, model in models.items()}
    rounds = measure_rounds(variants, ROUNDS)
    rows = [
        (name, f"{1000 * median(rounds, name):.0f}", f"{median_ratio(rounds, name, 'defaults'):.2f}")
        for name in VARIANTS
    ]
    title = f"validation of {EXAMPLES:,} x {CLASSES} outputs, medians of {ROUNDS} rounds"
    print_table(title, ["ms", "ratio to defaults"], rows)


if __name__ == "__main__":
    main()
