"""Figures of trained runs: curves, decision regions and layer outputs."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from torch import Tensor

from tests.history.recorded import record
from trainyard.config.composition import compose
from trainyard.config.objective import Objective
from trainyard.data.loading.spec import Column, DataSpec, Examples
from trainyard.data.loading.target import Labels, Numbers
from trainyard.history.stored_run import StoredRun
from trainyard.inspect import curves, decision_figure, layer_outputs
from trainyard.inspect.curves import load_curves, run_curves
from trainyard.io.errors import ConfigError
from trainyard.models.mlp import MLP
from trainyard.run.load_model import load_model
from trainyard.run.training import train

FOUR = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
NEURON = ("experiment=neuron", "trainer.max_epochs=3", "callbacks=none", "logger=csv")


def trained(folder: Path, *words: str) -> Path:
    train(compose([f"hydra.run.dir={folder}", "accelerator=cpu", *words]))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs on two measurements, on four, and on images, by name."""
    home = tmp_path_factory.mktemp("home")
    runs = home / "outputs" / "runs"
    trained(runs / "two", *NEURON, "trainer.max_epochs=20")
    trained(runs / "four", *NEURON, f"data.measurements=[{','.join(FOUR)}]", "trainer.max_epochs=1")
    cnn = ("model=cnn", "model.channels=[4,6]", "model.dropout=0.5", "trainer.max_epochs=1", "callbacks=none")
    trained(runs / "images", *cnn)
    return home


def test_curves_are_those_of_metrics_csv(home: Path) -> None:
    folder = home / "outputs" / "runs" / "two"
    with (folder / "metrics.csv").open(newline="") as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    run = run_curves(StoredRun(folder), "two")
    epochs, values = zip(*run.columns["val/loss"], strict=True)
    assert epochs == pytest.approx(range(1, 21))
    assert list(values) == losses
    assert curves.matching_columns("loss", run.columns) == ["train/loss", "val/loss"], "the test is no curve"
    assert run.objective == "val/acc"
    assert curves.matching_columns("val/acc", run.columns) == ["val/acc"]


def test_equal_rates_of_groups_are_drawn_once(tmp_path: Path) -> None:
    words = ("experiment=neuron", "trainer.max_epochs=2", "trainer.log_every_n_steps=1")
    columns = run_curves(StoredRun(trained(tmp_path / "one", *words)), "one").columns
    assert curves.matching_columns("lr", columns) == ["lr/biases_and_norms"]
    epochs = [epoch for epoch, _ in columns["lr/weights"]]
    assert epochs[-1] == 2.0
    assert np.diff(epochs) == pytest.approx(epochs[0])


MODULE_TABLE = """\
epoch,gradient/norm,lr-Adam,step,train_loss_step,train_loss_epoch,val/mse/dataloader_idx_0,val/mse/dataloader_idx_1,val_f1
0,,,4,3.0,,,,
0,,,9,,2.5,1.0,2.0,0.1
1,,,14,2.0,,,,
1,,,19,,1.5,0.5,1.5,0.2
2,,,22,1.0,,,,
,0.5,0.1,22,,,,,
"""


def test_metrics_of_any_module_are_drawn(run_command, tmp_path: Path) -> None:
    """Stages may be written with an underscore, and the last epoch may be incomplete."""
    folder = record(tmp_path / "outputs" / "runs" / "mine").folder
    (folder / "metrics.csv").write_text(MODULE_TABLE)
    run = run_curves(StoredRun(folder), "mine")
    assert curves.default_panels([run]) == ["loss", "f1", "mse"]
    assert curves.default_panels([replace(run, objective="val/mse")]) == ["loss", "mse", "f1"]
    assert curves.matching_columns("loss", run.columns) == ["train_loss_step", "train_loss_epoch"]
    assert curves.matching_columns("mse", run.columns) == [f"val/mse/dataloader_idx_{loader}" for loader in (0, 1)]
    assert run.columns["train_loss_step"] == [(0.5, 3.0), (1.5, 2.0), (2.3, 1.0)]
    code, _, errors = run_command("draw", "curves", "mine")
    assert (code, errors) == (0, "")
    assert matplotlib.image.imread(tmp_path / "outputs/draw/curves.png").shape[1] > 1200, "three charts"


def test_default_panels_are_metrics_with_and_without_stages() -> None:
    def names(*columns: str) -> list[str]:
        return curves.default_panels([curves.RunCurves("mine", {name: [(1.0, 1.0)] for name in columns})])

    assert names("d_loss", "g_loss", "val/radius", "test/radius", "lr-Adam") == ["d_loss", "g_loss", "radius"]
    assert names("val/acc", "train/loss", "val/loss", "gradient/norm") == ["loss", "acc"]
    assert names(*(f"val/m{number}" for number in range(9))) == [f"m{number}" for number in range(6)]
    with pytest.raises(ConfigError, match=r"RUN=mine: its metrics.csv has no metrics"):
        names("lr-Adam", "test/mse")


@pytest.mark.parametrize(("panel", "scale"), [("loss", "log"), ("val/mse", "log"), ("val/acc", "linear")])
def test_errors_of_several_magnitudes_are_on_a_logarithmic_scale(panel: str, scale: str) -> None:
    axis = Figure().subplots()
    name = panel if "/" in panel else f"val/{panel}"
    curves.draw_panel(axis, panel, [curves.RunCurves("mine", {name: [(1.0, 0.9), (2.0, 0.001)]})], {"mine": "C0"})
    assert axis.get_yscale() == scale


def test_panel_has_the_runs_that_logged_its_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {"one": {"val/acc": [(1.0, 0.5)]}, "other": {"val/rmse": [(1.0, 2.0)], "val/acc_top": [(1.0, 0.9)]}}
    monkeypatch.setattr(curves, "load_curves", lambda name: [curves.RunCurves(name, runs[name])])
    figures: list[Figure] = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, name: figures.append(figure))
    curves.draw(["one", "other"])
    drawn = {axis.get_title(): [line.get_ydata().tolist() for line in axis.lines] for axis in figures[0].axes}
    drawn = {title: [values for values in lines if values] for title, lines in drawn.items()}
    assert drawn == {"acc": [[0.5]], "acc_top": [[0.9]], "rmse": [[2.0]]}
    with pytest.raises(ConfigError, match="--of=los: no such column\n  accepted: val/acc, val/acc_top, val/rmse"):
        curves.draw(["one", "other"], ["acc", "los"])


def test_curves_of_a_sweep_are_labelled_by_its_axes(run_command, tmp_path: Path) -> None:
    from trainyard.sweeps.search_space import SearchSpace
    from trainyard.sweeps.stored import StoredSweep

    folder = tmp_path / "outputs" / "sweeps" / "first"
    folder.mkdir(parents=True)
    StoredSweep.create(folder, SearchSpace({"optimizer.lr": ["0.05", "5"]}), Objective("val/acc", "max"))
    words = [[*NEURON, "optimizer.lr=0.05"], [*NEURON, "optimizer.lr=5"]]
    for number, more in enumerate(words):
        trained(folder / str(number), *more)
    assert sorted(course.label for course in load_curves("first")) == ["lr=0.05", "lr=5"]
    code, screen, errors = run_command("draw", "curves", "first", "--of", "val/loss", "acc")
    assert (code, screen.splitlines()[-1], errors) == (0, "written    outputs/draw/curves.png", "")
    assert matplotlib.image.imread(tmp_path / "outputs/draw/curves.png").shape[1] > 800, "two charts"


def test_decision_line_is_where_classes_are_equally_probable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    figures: list[Figure] = []
    monkeypatch.setattr(decision_figure, "save_figure", lambda figure, name: figures.append(figure))
    decision_figure.draw_decision("two")
    [axis] = figures[0].axes
    lines = [artist for artist in axis.collections if isinstance(artist, QuadContourSet)]
    points = torch.tensor(np.concatenate([line.get_paths()[0].vertices for line in lines]), dtype=torch.float32)
    assert len(points) > 100
    model = load_model(home / "outputs" / "runs" / "two" / "checkpoints" / "best.ckpt")
    with torch.no_grad():
        assert model.predict_step(points, 0)[:, 0].numpy() == pytest.approx(0.5, abs=0.01)
        sums = model.get_submodule("net.1")(model.normalize(points))
        assert float(sums.std()) < 0.02, "the weighted sum is the same all along it: a straight line"
    dots = sum(len(artist.get_offsets()) for artist in axis.collections if not isinstance(artist, QuadContourSet))
    assert dots == 153 + 33, "of training and validation, none of the test"


def test_every_active_layer_is_drawn(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    model = load_model(home / "outputs" / "runs" / "images" / "checkpoints" / "best.ckpt")
    image = torch.randint(0, 255, (1, 1, 8, 8), dtype=torch.uint8)
    outputs = layer_outputs.layer_outputs(model, image)
    kinds = [title.split("\n")[1] for title, _ in outputs if title != "kernels"]
    block = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert kinds == ["Normalize", *block, *block, "Flatten", "Linear", "ReLU", "Linear"]
    with torch.no_grad():
        assert torch.equal(outputs[-1][1], model(image)[0])
    assert [title.split("\n")[0] for title, _ in outputs[:3]] == ["normalize", "kernels", "blocks.0.0"]
    assert torch.equal(outputs[1][1], model.get_submodule("blocks.0.0").weight)
    layer_outputs.draw_layers("images")
    assert (home / "outputs" / "draw" / "layers.png").stat().st_size > 10_000


MEASUREMENTS = (Column("length"), Column("mass"))
NUMBERS = Numbers(("price", "width"), (1000.0, 0.0), (300.0, 1.0))


@pytest.fixture
def draw_untrained(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Figure]]:
    """Draw a figure for an untrained model and random examples, half of them for training; return both."""

    def draw(
        module: ModuleType, spec: DataSpec, targets: Tensor, thresholds: Sequence[float] | None = None
    ) -> tuple[Any, Figure]:
        torch.manual_seed(0)
        model = MLP(spec, hidden_dims=[16]).eval()
        if thresholds is not None:
            model.task.thresholds[:] = thresholds
        images = torch.randint(0, 256, (len(targets), *spec.input_shape), dtype=torch.uint8)
        x = torch.randn(len(targets), 2) if spec.kind == "rows" else images
        middle = len(targets) // 2
        parts = {"train": Examples(x[:middle], targets[:middle]), "val": Examples(x[middle:], targets[middle:])}
        figures: list[Figure] = []
        monkeypatch.setattr(module, "load_model_and_data", lambda run, trusted: (model, SimpleNamespace(splits=parts)))
        monkeypatch.setattr(module, "save_figure", lambda figure, name: figures.append(figure))
        module.draw_decision("mine") if module is decision_figure else module.draw_layers("mine")
        return model, figures[0]

    return draw


def test_predicted_numbers_are_drawn_in_the_units_of_the_data(draw_untrained) -> None:
    spec = DataSpec((2,), NUMBERS, MEASUREMENTS, (0.0, 0.0), (1.0, 1.0))
    targets = torch.randn(40, 2) * torch.tensor([300.0, 1.0]) + torch.tensor([1000.0, 0.0])
    model, figure = draw_untrained(decision_figure, spec, targets)
    panels = [axis for axis in figure.axes if axis.get_xlabel()]
    assert [axis.get_ylabel() for axis in figure.axes] == ["mass", "mass", "price", "width"]
    for number, axis in enumerate(panels):
        [plane] = axis.images
        low, _, bottom, _ = plane.get_extent()
        corner = model.predict_step(torch.tensor([[low, bottom]]), 0)[0, number].item()
        assert plane.get_array()[0, 0] == pytest.approx(corner, rel=1e-5)
        assert plane.get_clim() == pytest.approx([*map(float, targets[:, number].aminmax())])
        values = [dots.get_array().tolist() for dots in axis.collections]
        assert values == [targets[:20, number].tolist(), targets[20:, number].tolist()]


def test_line_is_where_a_label_reaches_its_threshold(draw_untrained) -> None:
    spec = DataSpec((2,), Labels(("a", "b")), MEASUREMENTS, (0.0, 0.0), (1.0, 1.0))
    model, figure = draw_untrained(decision_figure, spec, torch.ones(40, 2), [0.45, 0.999])
    lines = [[line for line in axis.collections if isinstance(line, QuadContourSet)] for axis in figure.axes]
    assert list(map(len, lines)) == [1, 0, 0, 0], "the second label never reaches its threshold"
    points = torch.tensor(lines[0][0].get_paths()[0].vertices, dtype=torch.float32)
    assert model.predict_step(points, 0)[:, 0].tolist() == pytest.approx([0.45] * len(points), abs=0.001)
    assert [axis.get_ylabel() for axis in figure.axes[2:]] == ["probability of a", "probability of b"]
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    _, figure = draw_untrained(decision_figure, spec, torch.ones(40, 2), [])  # as in a task of one's own
    assert not [line for axis in figure.axes for line in axis.collections if isinstance(line, QuadContourSet)]


def test_too_many_numbers_are_rejected(draw_untrained) -> None:
    names = tuple(f"y{number}" for number in range(7))
    spec = DataSpec((2,), Numbers(names, (0.0,) * 7, (1.0,) * 7), MEASUREMENTS, (0.0, 0.0), (1.0, 1.0))
    with pytest.raises(ConfigError, match="RUN=mine: its model predicts 7 numbers or labels\n  accepted: up to 6"):
        draw_untrained(decision_figure, spec, torch.zeros(4, 7))


def test_predictions_for_an_image_are_beside_the_true_values(draw_untrained) -> None:
    spec = DataSpec((3, 8, 8), NUMBERS, (), (0.5,) * 3, (0.25,) * 3)
    _, figure = draw_untrained(layer_outputs, spec, torch.tensor([[0.0, 0.0], [900.0, -0.25]]))
    [lines] = [text.get_text().split("\n") for text in figure.axes[-1].texts]
    assert [line.partition(":")[0] for line in lines] == ["price", "width"]
    assert [line.partition("true ")[2] for line in lines] == ["900", "-0.25"]
    price = float(lines[0].removeprefix("price: predicted ").partition(",")[0])
    assert 400 < price < 1600, "near the mean, as the weights are small"
    labels = DataSpec((3, 8, 8), Labels(("a", "b", "c")), (), (0.5,) * 3, (0.25,) * 3)
    _, figure = draw_untrained(layer_outputs, labels, torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]))
    colours = [to_hex(bar.get_facecolor()) for bar in figure.axes[-1].patches]
    assert colours == [to_hex("tab:green"), to_hex("tab:gray"), to_hex("tab:green")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["curves", "nothing"], "RUN=nothing: unknown run"),
        (["curves", "two", "--of", "los"], "--of=los: no such column; did you mean loss?"),
        (["layers", "two"], "RUN=two: its model takes rows of a table"),
        (
            ["decision", "four"],
            f"RUN=four: its model takes {', '.join(FOUR)}",
        ),
        (["layers", "images", "--example", "9999"], "--example=9999: no such image\n  accepted: 0 to 268"),
    ],
)
def test_bad_input_is_an_error(
    run_command, home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(home)
    code, _, errors = run_command("draw", *words)
    assert code == 1
    assert errors.startswith(message), errors
