"""Figures of trained runs: curves, decision regions and layer outputs."""

import csv
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure

from tests.history.recorded import record
from trainyard.config.composition import compose
from trainyard.config.objective import Objective
from trainyard.history.stored_run import StoredRun
from trainyard.inspect import curves, model_figures
from trainyard.inspect.curves import load_curves, run_curves
from trainyard.io.errors import ConfigError
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
