"""Paths in untrusted checkpoints and configs: no file outside of the run is removed or written."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.security.tampering import set_config
from trainyard.history.stored_config import config_to_resume
from trainyard.history.stored_run import StoredRun
from trainyard.io.errors import ConfigError
from trainyard.run.training import train

LIGHTNING = "lightning.pytorch.callbacks.ModelCheckpoint"


def resume(run: Path) -> None:
    train(config_to_resume(StoredRun(run), ["trainer.max_epochs=2"]), resume=True)


@pytest.mark.parametrize("tag", ["pairs", "omap"])
def test_tagged_lists_are_rejected(run: Path, tag: str) -> None:
    set_config(run, "callbacks", {"x": {"_target_": "lightning.pytorch.callbacks.ModelSummary", "max_depth": "HIDDEN"}})
    node = f"!!{tag} [{{a: {{_target_: torch.hub.load, repo_or_dir: ., model: m, source: local}}}}]"
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("HIDDEN", node))
    (run.parent / "hubconf.py").write_text("open('ran', 'w')\ndef m():\n    pass\n")
    with pytest.raises(ConfigError):
        resume(run)
    assert not (run.parent / "ran").exists()


@pytest.mark.parametrize("key", ["best_model_path", "best_k_models"])
def test_folders_in_a_callback_state_are_not_removed(run: Path, key: str) -> None:
    victim = run.parent / "victim"
    victim.mkdir()
    last = run / "checkpoints" / "last.ckpt"
    stored = torch.load(last, weights_only=True)
    path = "run/checkpoints/../../victim"
    for state in ("LastCheckpoint", "BestCheckpoint"):
        stored["callbacks"][state][key] = {path: torch.tensor(0.0)} if key == "best_k_models" else path
    torch.save(stored, last)
    with pytest.raises(ConfigError, match="contains a path outside of the run"):
        resume(run)
    assert victim.is_dir()


@pytest.mark.parametrize("name", ["{epoch:c}tmp", "{step:/>3}", "{epoch].__doc__[0}", "{epoch!r:.1}", "{a:{b}}"])
def test_file_names_only_format_numbers(run: Path, name: str) -> None:
    set_config(run, "callbacks", {"x": {"_target_": LIGHTNING, "filename": name}})
    with pytest.raises(ConfigError, match=r"callbacks\.x\.filename="):
        config_to_resume(StoredRun(run), ["trainer.max_epochs=2"])
    set_config(run, "callbacks", {"x": {"_target_": LIGHTNING, "filename": "{epoch:02d}-{val/loss:.3f}-{lr-Adam}"}})
    config_to_resume(StoredRun(run), ["trainer.max_epochs=2"])


def test_skipped_batches_are_not_written_outside_of_the_run(run: Path) -> None:
    spikes = {"_target_": "lightning.pytorch.callbacks.spike.SpikeDetection", "exclude_batches_path": "package.json"}
    set_config(run, "callbacks", {"x": spikes})
    with pytest.raises(ConfigError, match="outside of its run"):
        config_to_resume(StoredRun(run), ["trainer.max_epochs=2"])


def test_best_epoch_of_a_moved_run_is_kept(run: Path) -> None:
    last = run / "checkpoints" / "last.ckpt"
    stored = torch.load(last, weights_only=True)
    best = stored["callbacks"]["BestCheckpoint"]
    perfect = torch.tensor(2.0)  # more than any accuracy
    best |= {"best_model_score": perfect, "kth_value": perfect, "best_k_models": {best["best_model_path"]: perfect}}
    torch.save(stored, last)
    moved = Path(shutil.move(run, run.with_name("elsewhere")))
    resume(moved)
    assert StoredRun(moved).result["epochs"] == 2
    assert StoredRun(moved).result["objective"]["epoch"] == 1
