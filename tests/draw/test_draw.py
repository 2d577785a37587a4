"""Pictures of trained runs show what the runs hold."""

import csv
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from trainyard.config import compose
from trainyard.draw import curves, decision, layers
from trainyard.draw.curves import course_of, courses_of
from trainyard.history.stored_run import StoredRun
from trainyard.models.load import load_model
from trainyard.training import train

NEURON = ("experiment=neuron", "trainer.max_epochs=3", "callbacks=none", "logger=csv")


def trained(folder: Path, *words: str) -> Path:
    train(compose([f"hydra.run.dir={folder}", "accelerator=cpu", *words]))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_curves_are_those_of_the_table_over_epochs(here: Path) -> None:
    folder = trained(here / "one", *NEURON)
    with (folder / "metrics.csv").open(newline="") as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    course = course_of(StoredRun(folder), "one")
    assert course.columns["val/loss"] == list(zip([1.0, 2.0, 3.0], losses, strict=True))
    assert curves.matching("loss", course.columns) == ["train/loss", "val/loss"], "the test is no curve"
    assert curves.matching("val/acc", course.columns) == ["val/acc"]


def test_rates_of_groups_that_are_equal_are_drawn_once(here: Path) -> None:
    words = ("experiment=neuron", "trainer.max_epochs=2", "trainer.log_every_n_steps=1")
    columns = course_of(StoredRun(trained(here / "one", *words)), "one").columns
    assert curves.matching("lr", columns) == ["lr/biases_and_norms"]
    epochs = [epoch for epoch, _ in columns["lr/weights"]]
    assert epochs[-1] == 2.0
    assert np.diff(epochs) == pytest.approx(epochs[0])


def test_a_sweep_is_drawn_by_what_varies(typed_command, tmp_path: Path) -> None:
    from trainyard.sweeps.search_space import SearchSpace
    from trainyard.sweeps.stored import StoredSweep

    folder = tmp_path / "outputs" / "sweeps" / "first"
    words = [[*NEURON, "optimizer.lr=0.05"], [*NEURON, "optimizer.lr=5"]]
    for number, more in enumerate(words):
        trained(folder / str(number), *more)
    StoredSweep.create(folder, SearchSpace({"optimizer.lr": ["0.05", "5"]}), ["val/acc"])
    assert sorted(course.label for course in courses_of("first")) == ["lr=0.05", "lr=5"]
    code, screen, errors = typed_command("draw", "curves", "first", "--of", "val/loss", "acc")
    assert (code, screen.splitlines()[-1], errors) == (0, "look       outputs/draw/curves.png", "")
    assert matplotlib.image.imread(tmp_path / "outputs/draw/curves.png").shape[1] > 800, "two charts"


def test_the_decision_line_is_where_the_neuron_decides(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = trained(here / "outputs" / "runs" / "one", *NEURON, "trainer.max_epochs=20")
    drawn: list[Figure] = []
    monkeypatch.setattr(decision, "save", lambda figure, name: drawn.append(figure))
    decision.draw("one")
    [axis] = drawn[0].axes
    lines = [artist for artist in axis.collections if isinstance(artist, QuadContourSet)]
    points = torch.tensor(np.concatenate([line.get_paths()[0].vertices for line in lines]), dtype=torch.float32)
    assert len(points) > 100
    model = load_model(folder / "checkpoints" / "best.ckpt")
    with torch.no_grad():
        assert model.predict_step(points, 0)[:, 0].numpy() == pytest.approx(0.5, abs=0.01)
        sums = model.get_submodule("net.1")(model.normalize(points))
        assert float(sums.std()) < 0.02, "the weighted sum is the same all along it: a straight line"
    dots = sum(len(artist.get_offsets()) for artist in axis.collections if not isinstance(artist, QuadContourSet))
    assert dots == 153 + 33, "of training and validation, none of the test"


def test_every_layer_is_drawn_and_what_is_dropped_too(here: Path) -> None:
    words = ("model=cnn", "model.channels=[4,6]", "model.dropout=0.5", "trainer.max_epochs=1", "callbacks=none")
    folder = trained(here / "one", *words)
    model = load_model(folder / "checkpoints" / "best.ckpt")
    image = torch.randint(0, 255, (1, 1, 8, 8), dtype=torch.uint8)
    outputs = layers.outputs_of(model, image)
    kinds = [output.title.split("\n")[1] for output in outputs]
    block = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Dropout2d while training"]
    assert kinds == ["Normalize", *block, *block, "Flatten", "Linear", "ReLU", "Dropout while training", "Linear"]
    with torch.no_grad():
        assert torch.equal(outputs[-1].values, model(image)[0]), "what is dropped for the picture changes no answer"
    pooled, dropped = outputs[9].values, outputs[10].values
    for before, after in zip(pooled, dropped, strict=True):
        assert not after.any() or torch.allclose(after, 2 * before), "a map is dropped as a whole"
    assert [output.kernels is not None for output in outputs].index(True) == 1
    layers.draw("one")
    assert (here / "outputs" / "draw" / "layers.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["curves", "nothing"], "RUN=nothing: there is no such run"),
        (["curves", "one", "--of", "los"], "--of=los: no such column; did you mean loss?"),
        (["layers", "one"], "RUN=one: its model takes rows of a table"),
        (["decision", "two"], "RUN=two: its model takes bill_length_mm, bill_depth_mm, flipper_length_mm, body_mass_g"),
        (["layers", "three", "--example", "9999"], "--example=9999: there is no such image\n  accepted: 0 to 268"),
    ],
)
def test_what_cannot_be_drawn_is_said(typed_command, tmp_path: Path, words: list[str], said: str) -> None:
    options = {
        "one": NEURON,
        "two": (*NEURON, "data.measurements=[bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g]"),
        "three": ("model=cnn", "trainer.max_epochs=1", "callbacks=none"),
    }
    if words[1] in options:
        trained(tmp_path / "outputs" / "runs" / words[1], *options[words[1]], "trainer.max_epochs=1")
    code, _, errors = typed_command("draw", *words)
    assert code == 1
    assert errors.startswith(said), errors
