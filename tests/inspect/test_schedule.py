"""The learning rates before a run are those of the run; `show schedule` and `show finetune` print and draw them."""

import csv
from itertools import cycle
from pathlib import Path

import pytest
from PIL import Image

from trainyard.config.composition import compose, load_options
from trainyard.inspect.schedule import Rates, layer_names, simulate_rates
from trainyard.optim import schedules
from trainyard.run.training import train

DIGITS = ("accelerator=cpu", "trainer.max_epochs=4", "data.train_fraction=0.2", "data.batch_size=32")


def rates_of(values: list[float], epoch_steps: int = 2) -> Rates:
    return Rates({"weights": values}, {"weights": 1}, epoch_steps, depends_on_validation=False)


@pytest.mark.parametrize(
    "words",
    [
        ["scheduler=one_cycle", "trainer.accumulate_grad_batches=3", "+trainer.limit_train_batches=7"],
        ["optimizer=sgd", "scheduler=cosine_warmup", "+trainer.max_steps=19"],
    ],
)
def test_rates_are_those_that_a_run_logs(tmp_path: Path, words: list[str]) -> None:
    cfg = compose([f"hydra.run.dir={tmp_path}/run", *DIGITS, *words, "logger=csv", "trainer.log_every_n_steps=1"])
    rates = simulate_rates(cfg)
    train(cfg)
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("weights", "biases_and_norms"):
        logged = {int(row["step"]): float(row[f"lr/{name}"]) for row in rows if row.get(f"lr/{name}")}
        assert len(logged) == rates.steps
        assert list(logged.values()) == pytest.approx(rates.groups[name])


PAIRS = list(zip(load_options("optimizer"), cycle(load_options("scheduler"))))


@pytest.mark.parametrize(("optimizer", "scheduler"), PAIRS)
def test_highest_rate_is_that_of_the_optimizer(optimizer: str, scheduler: str) -> None:
    cfg = compose([f"optimizer={optimizer}", f"scheduler={scheduler}", *DIGITS])
    rates = simulate_rates(cfg)
    assert (rates.epoch_steps, rates.steps) == (8, 32)
    assert rates.highest == pytest.approx(cfg.optimizer.lr, rel=0.01)
    assert rates.depends_on_validation == (scheduler == "plateau")
    assert list(rates.by_layers()) == ["all parameters"], "weights and biases have one rate"


def test_sparkline_has_at_most_one_character_per_epoch() -> None:
    assert rates_of([0, 0, 0, 1, 2, 3, 8, 8, 8], 3).sparkline("weights", 9) == "·▃█"
    assert rates_of([0.0] * 10 + [8.0] * 10, 1).sparkline("weights", 4) == "··██"


def test_layers_with_equal_rates_are_combined() -> None:
    groups = {"head_weights": [1.0], "head_biases_and_norms": [1.0], "layer_0_weights": [0.5]}
    assert Rates(groups, {}, 1, False).by_layers() == {"head": [1.0], "layer_0": [0.5]}
    assert layer_names(["weights", "biases_and_norms"]) == "all parameters"
    assert layer_names([f"layer_{number}_weights" for number in range(5)]) == "layer_0, layer_1, layer_2 and 2 more"


def test_table_has_first_peak_and_last_rate(run_command, tmp_path: Path) -> None:
    words = ("optimizer=sgd", "optimizer.lr=0.04", "scheduler=step", "trainer.max_epochs=6")
    code, screen, errors = run_command("show", "schedule", *words)
    assert (code, errors) == (0, "")
    heading, weights, others, steps, _, look = screen.splitlines()
    assert heading.endswith("by epoch, █ is 0.04")
    assert weights.split() == [
        *("weights", "50,432", "4.00e-02", "(1)", "4.00e-02", "(1)", "4.00e-04", "(6)", "██▁▁▁▁")
    ]  # fmt: skip
    assert others.split()[:2] == ["biases_and_norms", "394"]
    assert steps == "steps      20 per epoch, 120 in total"
    assert look == "written    outputs/show/schedule.png"
    with Image.open(tmp_path / "outputs" / "show" / "schedule.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(10**6)}
    assert (31, 119, 180) in colours, "the line"
    assert (255, 127, 14) not in colours, "one line for two groups of one rate"
    assert [path.name for path in (tmp_path / "outputs").rglob("*")] == ["show", "schedule.png"]


def test_one_cycle_peaks_in_the_fourth_of_ten_epochs(run_command) -> None:
    words = ("scheduler=one_cycle", "trainer.max_epochs=10", "data.batch_size=1259")
    _, screen, _ = run_command("show", "schedule", *words)
    rates = screen.splitlines()[1].split()[2:8]
    assert rates == ["4.00e-05", "(1)", "1.00e-03", "(4)", "4.95e-05", "(10)"]


def test_rates_of_plateau_are_unknown(run_command) -> None:
    code, screen, _ = run_command("show", "schedule", "scheduler=plateau", "trainer.max_epochs=3")
    assert code == 0
    assert "the rate drops when a metric stops improving" in screen
    assert "███" in screen


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scheduler=stepp", ["scheduler=stepp", "did you mean step"]),
        ("trainer.max_epochs=0", ["trainer.max_epochs=0", "a whole number from 1"]),
        ("data.batch_size=9999", ["data.batch_size=9999", "1 to 1259"]),
        ("model=mlp,cnn", ["model=mlp,cnn"]),
    ],
)
def test_bad_input_of_show_schedule_is_an_error(run_command, tmp_path: Path, line: str, expected: list[str]) -> None:
    code, screen, errors = run_command("show", "schedule", *line.split())
    assert (code, screen) == (1, "")
    assert all(word in errors for word in expected)
    assert len(errors.strip().splitlines()) <= 4
    assert not list(tmp_path.iterdir())


SMALL = (
    *("model=transfer", "model.backbone=test_resnet", "model.image_size=32"),
    *("data.batch_size=64", "trainer.max_epochs=5", "optimizer.lr=0.01"),
)  # 20 steps an epoch, 100 in all; pretrained, as in a real run
KINDS = ("weights", "biases_and_norms")


def test_show_finetune_prints_tables_and_draws_curves(run_command, tmp_path: Path) -> None:
    code, screen, errors = run_command(
        "show", "finetune", *SMALL, "finetune=gradual", "finetune.unfreeze=[1,0.4,4]", "scheduler=constant"
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


def test_cycle_restarts_when_the_backbone_is_unfrozen() -> None:
    rates = simulate_rates(compose([*SMALL, "finetune=fine_tune", "scheduler=one_cycle"])).groups
    one_cycle = {"peak_fraction": 0.3, "start_lr_factor": 0.04, "min_lr_factor": 4e-06}
    first, second = (one_cycle_factors(steps, **one_cycle) for steps in (20, 80))
    assert rates["head_weights"] == pytest.approx([0.01 * f for f in first] + [0.005 * f for f in second])
    for layer in range(5):
        factor = 0.7 ** (5 - layer)
        expected = [0.0] * 20 + [0.005 * factor * f for f in second]
        assert rates[f"layer_{layer}_weights"] == rates[f"layer_{layer}_biases_and_norms"]
        assert rates[f"layer_{layer}_weights"] == pytest.approx(expected)


def one_cycle_factors(steps: int, **options: float) -> list[float]:
    """Return the factors of a whole run of one cycle."""
    import torch

    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, factors = schedules.one_cycle(sgd, steps, **options), []
    for _ in range(steps):
        factors.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return factors


def test_frozen_layers_have_rate_zero_under_plateau() -> None:
    rates = simulate_rates(compose([*SMALL, "finetune=gradual", "scheduler=plateau"])).groups
    assert rates["layer_4_weights"] == pytest.approx([0.0] * 25 + [0.008] * 75)


def test_accumulated_batches_count_as_one_step() -> None:
    cfg = compose([*SMALL, "finetune=gradual", "finetune.unfreeze=[2]", "trainer.accumulate_grad_batches=3"])
    rates = simulate_rates(cfg)
    assert rates.epoch_steps == 7
    assert rates.groups["layer_4_weights"][13] == 0.0 < rates.groups["layer_4_weights"][14]
    assert rates.sizes["head_biases_and_norms"] == 10


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("model=transfer finetune=gradul", ["finetune=gradul", "did you mean gradual"]),
        ("model=transfer finetune.unfreeze=[40]", ["finetune.unfreeze=[40]", "the run ends after 30 epochs"]),
        ("", ["model=mlp: it has no backbone", "model=transfer"]),
        ("finetune=gradual", ["finetune=gradual model=mlp", "has no pretrained layers"]),
    ],
)
def test_bad_input_of_show_finetune_is_an_error(run_command, tmp_path: Path, line: str, words: list[str]) -> None:
    code, screen, errors = run_command("show", "finetune", *line.split())
    assert (code, screen) == (1, "")
    for word in words:
        assert word in errors
    assert len(errors.strip().splitlines()) <= 4
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())
