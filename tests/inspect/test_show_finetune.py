"""The command that shows a plan before any training: its table, its curves, and what it says of bad input."""

from pathlib import Path

import pytest
from PIL import Image

from trainyard.config import compose
from trainyard.inspect.schedule import simulate_rates
from trainyard.optim import schedules

SMALL = (
    *("model=transfer", "model.backbone=test_resnet", "model.image_size=32"),
    *("data.batch_size=64", "trainer.max_epochs=5", "optimizer.lr=0.01"),
)  # 20 steps an epoch, 100 in all; pretrained, as in a real run
KINDS = ("weights", "biases_and_norms")


def test_shows_strips_and_a_table_and_draws_curves(typed_command, tmp_path: Path) -> None:
    code, screen, errors = typed_command(
        "show", "finetune", *SMALL, "finetune=gradual", "finetune.thaw=[1,0.4,4]", "scheduler=constant"
    )
    assert (code, errors) == (0, "")
    strips, table = screen.split("\n\n")[:2]
    heading, *lines = strips.splitlines()
    assert heading.endswith("rate by epoch, █ is 0.01, · is frozen")
    assert [(line.split()[0], line.split()[-1]) for line in lines if "_weights" in line] == [
        ("head_weights", "█████"), ("layer_4_weights", "·▇▇▇▇"), ("layer_3_weights", "·▆▆▆▆"),
        ("layer_2_weights", "··▅▅▅"), ("layer_1_weights", "··▄▄▄"), ("layer_0_weights", "····▃"),
    ]  # fmt: skip
    assert [line.split() for line in table.splitlines()] == [
        ["epoch", "head", "layer_4", "layer_3", "layer_2", "layer_1", "layer_0"],
        ["1", "1.00e-02", *["frozen"] * 5],
        ["2", "1.00e-02", "8.00e-03", "6.40e-03", *["frozen"] * 3],
        ["3", "1.00e-02", "8.00e-03", "6.40e-03", "5.12e-03", "4.10e-03", "frozen"],
        ["4", "1.00e-02", "8.00e-03", "6.40e-03", "5.12e-03", "4.10e-03", "frozen"],
        ["5", "1.00e-02", "8.00e-03", "6.40e-03", "5.12e-03", "4.10e-03", "3.28e-03"],
    ]
    assert "960  " in lines[0], "96 features for 10 classes"
    with Image.open(tmp_path / "outputs" / "show" / "finetune.png") as picture:
        assert len(picture.convert("RGB").getcolors(10**6)) > 6, "a curve a group"


def test_fine_tune_starts_the_cycle_anew_for_all() -> None:
    rates = simulate_rates(compose([*SMALL, "finetune=fine_tune", "scheduler=one_cycle"])).groups
    one_cycle = {"peak_fraction": 0.3, "start_lr_factor": 0.04, "min_lr_factor": 4e-06}
    first, second = (cycle(steps, **one_cycle) for steps in (20, 80))
    assert rates["head_weights"] == pytest.approx([0.01 * f for f in first] + [0.005 * f for f in second])
    for layer in range(5):
        factor = 0.7 ** (5 - layer)
        expected = [0.0] * 20 + [0.005 * factor * f for f in second]
        assert rates[f"layer_{layer}_weights"] == rates[f"layer_{layer}_biases_and_norms"]
        assert rates[f"layer_{layer}_weights"] == pytest.approx(expected)


def cycle(steps: int, **options: float) -> list[float]:
    """Return the factors of a whole run of one cycle."""
    import torch

    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, seen = schedules.one_cycle(sgd, steps, **options), []
    for _ in range(steps):
        seen.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return seen


def test_what_is_frozen_is_shown_so_under_any_schedule() -> None:
    rates = simulate_rates(compose([*SMALL, "finetune=gradual", "scheduler=plateau"])).groups
    assert rates["layer_4_weights"] == pytest.approx([0.0] * 25 + [0.008] * 75)


def test_accumulated_batches_are_one_step() -> None:
    cfg = compose([*SMALL, "finetune=gradual", "finetune.thaw=[2]", "trainer.accumulate_grad_batches=3"])
    rates = simulate_rates(cfg)
    assert rates.epoch_steps == 7
    assert rates.groups["layer_4_weights"][13] == 0.0 < rates.groups["layer_4_weights"][14]
    assert rates.sizes["head_biases_and_norms"] == 10


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("model=transfer finetune=gradul", ["finetune=gradul", "did you mean gradual"]),
        ("model=transfer finetune.thaw=[40]", ["finetune.thaw=[40]", "the run ends after 30 epochs"]),
        ("", ["model=mlp: it has no backbone", "model=transfer"]),
        ("finetune=gradual", ["finetune=gradual model=mlp", "has no pretrained layers"]),
    ],
)
def test_bad_input_is_named_in_a_few_lines_and_leaves_nothing(
    typed_command, tmp_path: Path, line: str, words: list[str]
) -> None:
    code, screen, errors = typed_command("show", "finetune", *line.split())
    assert (code, screen) == (1, "")
    for word in words:
        assert word in errors
    assert len(errors.strip().splitlines()) <= 4
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())
