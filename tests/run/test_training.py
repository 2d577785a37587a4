"""A run from end to end on real data: its return value, its files, and its repetition."""

import csv
import json
from pathlib import Path

import lightning as L
import pytest
import torch
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.conftest import Compose
from trainyard.io.errors import ConfigError
from trainyard.run.load_model import load_model
from trainyard.run.training import train


def result_of(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[float, Path]:
    from trainyard.config.composition import compose

    folder = tmp_path_factory.mktemp("main") / "runs" / "cnn"
    result = train(
        compose(
            [
                "model=cnn",
                "optimizer=adam",
                "trainer.max_epochs=3",
                "callbacks.budget.share=0",
                f"hydra.run.dir={folder}",
            ]
        )
    )
    assert result.folder == folder
    return result.objective, folder


def test_returns_the_best_validation_score(finished: tuple[float, Path]) -> None:
    score, folder = finished
    result = result_of(folder)
    with (folder / "metrics.csv").open() as file:
        accuracies = [float(row["val/acc"]) for row in csv.DictReader(file) if row["val/acc"]]
    assert len(accuracies) == 3
    assert score == max(accuracies) == result["objective"]["value"] == result["metrics"]["val/acc"]
    assert result["objective"]["name"] == "val/acc"
    assert accuracies[result["objective"]["epoch"] - 1] == score
    assert score > 0.8, "three epochs of a CNN on digits"


def test_writes_a_complete_directory(finished: tuple[float, Path]) -> None:
    _, folder = finished
    for name in ("config.yaml", "overrides.yaml", "provenance.json", "run.log", "metrics.csv", "result.json"):
        assert (folder / name).stat().st_size > 0
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    result = result_of(folder)
    assert (result["status"], result["error"], result["epochs"]) == ("completed", None, 3)
    assert set(result["metrics"]) == {"val/acc", "val/loss", "test/acc", "test/loss"}
    assert (folder / result["checkpoint"]).is_file()
    assert result["seconds"] > 0
    assert set(result["data"]) == {"fingerprint"}, "complete data needs no other entry"
    assert (folder.parent.parent / "latest").resolve() == folder
    assert not list(folder.rglob("*.draft*")), "drafts of atomic writes are gone"


def test_config_and_provenance_are_written(finished: tuple[float, Path]) -> None:
    _, folder = finished
    config = OmegaConf.load(folder / "config.yaml")
    assert config.run.choices.model == "cnn"
    assert "${" not in (folder / "config.yaml").read_text()
    assert OmegaConf.load(folder / "overrides.yaml")[:2] == ["model=cnn", "optimizer=adam"]
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert provenance["hardware"]["cores"] >= 1


def test_log_contains_the_run(finished: tuple[float, Path]) -> None:
    _, folder = finished
    log = (folder / "run.log").read_text()
    assert "epoch 3/3" in log
    assert "tensorboard --logdir" in log
    assert log.count("epoch 1/3") == 1


@pytest.mark.parametrize(("name", "epoch"), [("best", None), ("last", 2)])
def test_checkpoints_load_with_weights_only_and_predict(
    finished: tuple[float, Path], name: str, epoch: int | None
) -> None:
    _, folder = finished
    path = folder / "checkpoints" / f"{name}.ckpt"
    stored = torch.load(path, weights_only=True)
    assert epoch is None or stored["epoch"] == epoch
    assert stored["hyper_parameters"]["spec"]["target"]["names"] == list("0123456789")
    model = load_model(path)
    from trainyard.data.sources.builtin import Digits

    images = Digits(64)
    test = images.splits["test"]
    with torch.inference_mode():
        accuracy = float((model.eval()(test.x).argmax(1) == test.y).float().mean())
    if name == "best":
        assert accuracy == pytest.approx(result_of(folder)["metrics"]["test/acc"], abs=1e-6)


def test_tensorboard_contains_curves_text_graph_and_one_session(finished: tuple[float, Path]) -> None:
    _, folder = finished
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    scalars = set(tags["scalars"])
    assert {f"{stage}/{kind}" for stage in ("train", "val", "test") for kind in ("loss", "acc")} <= scalars
    assert "hp_metric" not in scalars
    assert [event.step for event in events.Scalars("val/acc")] == [19, 39, 59]
    rates = [event.value for event in events.Scalars("lr/weights")]
    assert rates == sorted(rates, reverse=True)
    assert sorted(tags["tensors"]) == [  # a run has several event files, and the tenth sorts before the ninth
        "config/text_summary",
        "custom_scalars__config__",
        "provenance/text_summary",
        "val/per_class/text_summary",
    ]
    assert "trainyard.models.cnn.CNN" in events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert tags["graph"]
    assert "train/first_batch" in tags["images"]
    plugins = events.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
    assert HParamsPluginData.FromString(plugins).session_end_info.status == 1  # success
    started = HParamsPluginData.FromString(
        events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    ).session_start_info.hparams
    assert started["model"].string_value == "cnn"
    assert started["optimizer.lr"].number_value == 0.001
    result = result_of(folder)["metrics"]
    for name in result:
        [event] = events.Scalars(f"result/{name.replace('/', '_')}")
        assert event.value == pytest.approx(result[name])


def test_the_same_seed_gives_the_same_numbers(compose_run: Compose) -> None:
    metrics = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        cfg = compose_run("model=cnn", f"seed={seed}", "augment=standard", "logger=csv", folder=folder)
        train(cfg)
        metrics.append(result_of(Path(cfg.run.dir))["metrics"])
    assert metrics[0] == metrics[1]
    assert metrics[0] != metrics[2]


def test_best_checkpoint_is_tested(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = []
    real = L.Trainer.test

    def spy(self: L.Trainer, *args: object, **kwargs: object) -> object:
        paths.append(Path(str(kwargs["ckpt_path"])).name)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(L.Trainer, "test", spy)
    train(compose_run("callbacks=none"))
    assert paths == ["best.ckpt"]


def test_objective_may_be_the_loss(compose_run: Compose) -> None:
    cfg = compose_run("objective=val/loss", "experiment=penguins", "trainer.max_epochs=5")
    score = train(cfg).objective
    with (Path(cfg.run.dir) / "metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert score == min(losses)


def test_error_in_training_is_recorded(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: object) -> None:
        raise RuntimeError("the cat sat on the keyboard")

    monkeypatch.setattr("trainyard.models.mlp.MLP.training_step", explode)
    cfg = compose_run()
    with pytest.raises(RuntimeError, match="the cat"):
        train(cfg)
    result = result_of(Path(cfg.run.dir))
    assert (result["status"], result["error"]) == ("failed", "RuntimeError: the cat sat on the keyboard")
    assert "Traceback" in (Path(cfg.run.dir) / "run.log").read_text()


def test_interruption_is_recorded(compose_run: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainyard.models.mlp.MLP.training_step", interrupt)
    cfg = compose_run()
    with pytest.raises(SystemExit):
        train(cfg)
    assert result_of(Path(cfg.run.dir))["status"] == "interrupted"


def test_rejected_config_leaves_no_directory(compose_run: Compose) -> None:
    cfg = compose_run("model.dropout=2")
    with pytest.raises(ValueError, match=r"model\.dropout=2"):
        train(cfg)
    assert not Path(cfg.run.dir).exists()


def test_directory_with_other_files_is_never_removed(compose_run: Compose) -> None:
    cfg = compose_run("model.dropout=2")
    Path(cfg.run.dir).mkdir()
    (Path(cfg.run.dir) / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match=r"it contains other files \(thesis\.tex\)"):
        train(cfg)
    (Path(cfg.run.dir) / "provenance.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"model\.dropout=2"):
        train(cfg)
    assert (Path(cfg.run.dir) / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("option", ["fast", "overfit", "profile", "detect_nan"])
def test_debug_options_run(compose_run: Compose, option: str) -> None:
    cfg = compose_run(f"debug={option}", "trainer.max_epochs=80" if option == "overfit" else "trainer.max_epochs=1")
    train(cfg)
    folder = Path(cfg.run.dir)
    if option == "profile":
        assert "run_training_epoch" in (folder / "fit-profile.txt").read_text()
        assert "FIT Profiler Report" not in (folder / "test-profile.txt").read_text()
    if option == "overfit":
        with (folder / "metrics.csv").open() as file:
            accuracy = [float(row["train/acc"]) for row in csv.DictReader(file) if row["train/acc"]]
        assert accuracy[-1] == 1.0, "overfits one batch"


def test_nan_in_validation_fails_the_run(compose_run: Compose, tmp_path: Path) -> None:
    """Without the callback that checks each loss."""
    with pytest.raises(FloatingPointError, match=r"val/loss is (nan|inf)"):
        train(compose_run("callbacks=none", "optimizer=sgd", "optimizer.lr=1e20"))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "failed"
    assert "val/loss" in result["error"]
