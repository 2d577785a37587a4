"""Any LightningModule is tested again from its run, or an error says in one line what is missing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.inference import module_runs
from tests.inference.module_runs import AUTOENCODER, CHARACTERS, TEMPLATE, USER, record_module_run
from tests.user_modules.unet import UNet
from trainyard.inference.evaluate import evaluate, evaluate_ensemble
from trainyard.io.errors import ConfigError

RUNS = {"template": TEMPLATE, "unet": module_runs.UNET, "characters": CHARACTERS, "autoencoder": AUTOENCODER}
TRUSTED = ["tests"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each module."""
    home = tmp_path_factory.mktemp("modules")
    for name, parts in RUNS.items():
        record_module_run(home / name, parts)
    return home


@pytest.mark.parametrize("name", ["template", "unet", "characters"])
def test_scores_are_exactly_those_of_the_run(home: Path, name: str) -> None:
    torch.manual_seed(99)
    report, folder = evaluate(str(home / name), trusted=TRUSTED)
    stored = json.loads((folder / "result.json").read_text())["metrics"]
    assert report.scores == {key: value for key, value in stored.items() if key.startswith("test/")} != {}
    assert report.lines[-1] == "the run    has exactly the same scores"
    assert torch.initial_seed() == 99, "the random state of the process is unchanged"


ADAM = {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.01}
MIXED = {
    "built-in model": {
        "model": {"_target_": "trainyard.models.mlp.MLP", "hidden_dims": [8]},
        "data": {"_target_": "tests.inference.mixed_parts.DescribedRows"},
        "optimizer": ADAM,
    },
    "built-in data": {
        "model": {
            "_target_": "tests.inference.mixed_parts.OnPixels",
            "net": {"_target_": "tests.user_modules.template.GestureNet"},
            "optimizer": ADAM,
        },
        "data": {"_target_": "trainyard.data.sources.builtin.Digits"},
    },
}


@pytest.mark.parametrize("kind", MIXED)
def test_built_in_and_own_parts_can_be_mixed(tmp_path: Path, kind: str) -> None:
    run = record_module_run(tmp_path / "run", MIXED[kind])
    report, _ = evaluate(str(run), trusted=TRUSTED)
    assert report.scores.keys() == {"test/acc", "test/loss"}
    assert report.lines[-1] == "the run    has exactly the same scores"
    with pytest.raises(ConfigError, match="must not build it here"):
        evaluate(str(run))


def test_constructor_arguments_and_the_trainer_can_be_overridden(home: Path) -> None:
    words = ["data.counts=[320,64,32]", "data.batch_size=7", "+trainer.limit_test_batches=2"]
    report, _ = evaluate(str(home / "template"), words, trusted=TRUSTED)
    assert report.options == words
    assert report.scores["test/acc"] * 14 == pytest.approx(round(report.scores["test/acc"] * 14)), "of 14 examples"
    gaps = {name: abs(value - report.stored[name]) for name, value in report.scores.items()}
    largest = max(gaps, key=lambda name: gaps[name])
    assert report.lines[-1] == f"the run    differs by at most {gaps[largest]:.2g} in {largest}"
    with pytest.raises(ConfigError, match=r"data\.batch_siz=7: the stored config has no such key; did you mean"):
        evaluate(str(home / "template"), ["data.batch_siz=7"], trusted=TRUSTED)


def test_reports_are_written(home: Path, run_command) -> None:
    code, screen, errors = run_command("evaluate", str(home / "unet"), "--trusted-packages", "tests")
    assert (code, errors) == (0, "")
    assert re.search(r"^model +.*unet .*UNet\ndata +Rectangles\nmetric .*\ntest/iou +(\S+) +\1\n", screen, re.MULTILINE)
    assert "acc" not in screen
    report = json.loads((home / "unet" / "evaluation" / "test.json").read_text())
    assert report["metrics"] == report["stored"] != {}
    page = (home / "unet" / "evaluation" / "test.md").read_text()
    assert "| test/iou |" in page


@pytest.mark.parametrize(
    ("name", "views", "message"),
    [
        ("autoencoder", 1, "RUN=.*autoencoder: AutoEncoder has no test_step"),
        ("unet", 8, "--tta=.*unet: its model does not say what its outputs mean: it has no method interpret"),
    ],
)
def test_missing_methods_are_named(home: Path, name: str, views: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(str(home / name), views=views, trusted=TRUSTED)


def test_missing_dataloader_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.user_modules import unet

    monkeypatch.delattr(unet.Rectangles, "test_dataloader")
    with pytest.raises(ConfigError, match="Rectangles has no test_dataloader"):
        evaluate(str(home / "unet"), trusted=TRUSTED)


@pytest.mark.parametrize("name", RUNS)
def test_package_must_be_trusted(home: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"_target_={USER}.*must not build it here"):
        evaluate(str(home / name))


def test_weights_of_another_model_are_rejected(tmp_path: Path) -> None:
    run = record_module_run(tmp_path / "run", module_runs.UNET)
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("channels: 4", "channels: 5"))
    with pytest.raises(ConfigError, match=r"best.ckpt: does not fit the model of config.yaml: down.0.weight has an"):
        evaluate(str(run), trusted=TRUSTED)
    (run / "checkpoints" / "best.ckpt").write_bytes(b"PK")
    with pytest.raises(ConfigError, match="it contains more than weights"):
        evaluate(str(run), trusted=TRUSTED)


def test_weights_of_layers_compiled_in_training_are_loaded(tmp_path: Path) -> None:
    """lightning-hydra-template compiles `self.net` in `setup("fit")`, which changes the names of its weights."""
    run = record_module_run(tmp_path / "run", TEMPLATE)
    path = run / "checkpoints" / "best.ckpt"
    stored = torch.load(path, weights_only=True)
    weights = {name.replace("net.", "net._orig_mod."): value for name, value in stored["state_dict"].items()}
    assert "net._orig_mod.0.weight" in weights
    torch.save({**stored, "state_dict": weights}, path)
    report, _ = evaluate(str(run), trusted=TRUSTED)
    assert report.lines[-1] == "the run    has exactly the same scores"


def test_module_may_use_its_logger(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def test_step(module: UNet, batch: Any, batch_idx: int) -> None:
        module.logger.experiment.add_image("image", batch[0][0])

    monkeypatch.setattr(UNet, "test_step", test_step)
    report, _ = evaluate(str(home / "unet"), trusted=TRUSTED)
    assert report.lines[-1] == "the test   logged no metrics: UNet.test_step calls self.log for none"


def test_ensemble_of_modules_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for job in range(2):
        record_module_run(Path("outputs/sweeps/S") / str(job), module_runs.UNET)
    sweep = "objective: val/loss\nvalues:\n  seed: ['0', '1']\n"
    Path("outputs/sweeps/S/sweep.yaml").write_text(sweep)
    with pytest.raises(
        ConfigError, match="--ensemble=2: its model does not say what its outputs mean: it has no method interpret"
    ):
        evaluate_ensemble("best:S", 2, trusted=TRUSTED)
