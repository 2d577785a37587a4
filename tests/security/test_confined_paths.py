"""An untrusted run cannot read, write or download files outside of its directory."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.security.tampering import rejection
from trainyard.history.stored_run import StoredRun
from trainyard.inference.evaluate import evaluate, write_report
from trainyard.io.errors import ConfigError
from trainyard.io.files import output_folder


@pytest.mark.parametrize("name", ["../../secret.ckpt", "/etc/passwd", "checkpoints/../../secret.ckpt", "link.ckpt"])
def test_checkpoint_outside_of_the_run_is_ignored(run: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.ckpt").write_text("secret")
    (run / "link.ckpt").symlink_to(tmp_path / "secret.ckpt")
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "checkpoint": name}))
    assert StoredRun(run).checkpoint == run / "checkpoints" / "best.ckpt"
    evaluate(str(run))


def test_report_does_not_follow_links(run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (run / "evaluation").symlink_to(outside)
    with pytest.raises(ConfigError, match="outside of the run"):
        output_folder(run, "evaluation")
    (run / "evaluation").unlink()
    folder = output_folder(run, "evaluation")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("test.json", "test.md", "test_calibration.png", "test_confusion_matrix.png"):
        (folder / name).symlink_to(victim)
    found, _ = evaluate(str(run))
    write_report(found, folder)
    assert victim.read_text() == "mine"
    assert not (folder / "test.json").is_symlink()


@pytest.mark.parametrize("root", ["../elsewhere", "/tmp/nobody/has/typed/this"])
def test_stored_path_is_not_a_download_folder(run: Path, root: str) -> None:
    config = OmegaConf.load(run / "config.yaml")
    data = {
        "_target_": "trainyard.data.sources.torchvision_datasets.TorchvisionDataset",
        "name": "MNIST",
        "root": root,
        "batch_size": 8,
    }
    OmegaConf.save(OmegaConf.merge(config, {"data": None}, {"data": data}), run / "config.yaml")
    assert "must not download outside of the current folder" in rejection(run)
    assert not Path(root).exists()


def test_images_use_the_cache_of_the_user(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from trainyard.inference.evaluation_data import load_data

    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "own"))
    data = {
        "_target_": "trainyard.data.sources.image_folder.ImageFolder",
        "root": "x",
        "cache": "/etc",
        "batch_size": 8,
    }
    built = load_data(OmegaConf.create({"seed": 0, "data": data}), [])
    assert built.cache == tmp_path / "own"  # type: ignore[attr-defined]
