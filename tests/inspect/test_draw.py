"""Figures of trained runs: curves, decision regions and layer outputs."""

import csv
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from trainyard.config.composition import compose
from trainyard.config.objective import Objective
from trainyard.history.stored_run import StoredRun
from trainyard.inspect import curves, model_figures
from trainyard.inspect.curves import load_curves, run_curves
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
    assert curves.matching_columns("val/acc", run.columns) == ["val/acc"]


def test_equal_rates_of_groups_are_drawn_once(tmp_path: Path) -> None:
    words = ("experiment=neuron", "trainer.max_epochs=2", "trainer.log_every_n_steps=1")
    columns = run_curves(StoredRun(trained(tmp_path / "one", *words)), "one").columns
    assert curves.matching_columns("lr", columns) == ["lr/biases_and_norms"]
    epochs = [epoch for epoch, _ in columns["lr/weights"]]
    assert epochs[-1] == 2.0
    assert np.diff(epochs) == pytest.approx(epochs[0])


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
    monkeypatch.setattr(model_figures, "save_figure", lambda figure, name: figures.append(figure))
    model_figures.draw_decision("two")
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
    outputs = model_figures.layer_outputs(model, image)
    kinds = [title.split("\n")[1] for title, _ in outputs if title != "kernels"]
    block = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert kinds == ["Normalize", *block, *block, "Flatten", "Linear", "ReLU", "Linear"]
    with torch.no_grad():
        assert torch.equal(outputs[-1][1], model(image)[0])
    assert [title.split("\n")[0] for title, _ in outputs[:3]] == ["normalize", "kernels", "blocks.0.0"]
    assert torch.equal(outputs[1][1], model.get_submodule("blocks.0.0").weight)
    model_figures.draw_layers("images")
    assert (home / "outputs" / "draw" / "layers.png").stat().st_size > 10_000


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
