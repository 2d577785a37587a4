"""Pictures of trained runs show what the runs hold."""

import csv
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from trainyard.config.composition import compose
from trainyard.history.stored_run import StoredRun
from trainyard.inspect import curves, decision_regions, layer_outputs
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


def test_curves_are_those_of_the_table_over_epochs(home: Path) -> None:
    folder = home / "outputs" / "runs" / "two"
    with (folder / "metrics.csv").open(newline="") as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    run = run_curves(StoredRun(folder), "two")
    epochs, values = zip(*run.columns["val/loss"], strict=True)
    assert epochs == pytest.approx(range(1, 21))
    assert list(values) == losses
    assert curves.matching_columns("loss", run.columns) == ["train/loss", "val/loss"], "the test is no curve"
    assert curves.matching_columns("val/acc", run.columns) == ["val/acc"]


def test_rates_of_groups_that_are_equal_are_drawn_once(tmp_path: Path) -> None:
    words = ("experiment=neuron", "trainer.max_epochs=2", "trainer.log_every_n_steps=1")
    columns = run_curves(StoredRun(trained(tmp_path / "one", *words)), "one").columns
    assert curves.matching_columns("lr", columns) == ["lr/biases_and_norms"]
    epochs = [epoch for epoch, _ in columns["lr/weights"]]
    assert epochs[-1] == 2.0
    assert np.diff(epochs) == pytest.approx(epochs[0])


def test_a_sweep_is_drawn_by_what_varies(typed_command, tmp_path: Path) -> None:
    from trainyard.sweeps.search_space import SearchSpace
    from trainyard.sweeps.stored import StoredSweep

    folder = tmp_path / "outputs" / "sweeps" / "first"
    folder.mkdir(parents=True)
    StoredSweep.create(folder, SearchSpace({"optimizer.lr": ["0.05", "5"]}), "val/acc")
    words = [[*NEURON, "optimizer.lr=0.05"], [*NEURON, "optimizer.lr=5"]]
    for number, more in enumerate(words):
        trained(folder / str(number), *more)
    assert sorted(course.label for course in load_curves("first")) == ["lr=0.05", "lr=5"]
    code, screen, errors = typed_command("draw", "curves", "first", "--of", "val/loss", "acc")
    assert (code, screen.splitlines()[-1], errors) == (0, "written    outputs/draw/curves.png", "")
    assert matplotlib.image.imread(tmp_path / "outputs/draw/curves.png").shape[1] > 800, "two charts"


def test_the_decision_line_is_where_the_neuron_decides(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    drawn: list[Figure] = []
    monkeypatch.setattr(decision_regions, "save_figure", lambda figure, name: drawn.append(figure))
    decision_regions.draw("two")
    [axis] = drawn[0].axes
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
    layer_outputs.draw("images")
    assert (home / "outputs" / "draw" / "layers.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["curves", "nothing"], "RUN=nothing: there is no such run"),
        (["curves", "two", "--of", "los"], "--of=los: no such column; did you mean loss?"),
        (["layers", "two"], "RUN=two: its model takes rows of a table"),
        (
            ["decision", "four"],
            f"RUN=four: its model takes {', '.join(FOUR)}",
        ),
        (["layers", "images", "--example", "9999"], "--example=9999: no such image\n  accepted: 0 to 268"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(
    typed_command, home: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(home)
    code, _, errors = typed_command("draw", *words)
    assert code == 1
    assert errors.startswith(said), errors
