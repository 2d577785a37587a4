"""What runs again is the code of the commit with the patch, in a process of its own."""

from pathlib import Path

import pytest
import yaml

from tests.conftest import Compose
from tests.history.checkout import Checkout
from trainyard.files import write_json
from trainyard.history.reproduce import reproduce
from trainyard.provenance import git_state
from trainyard.stored.run import StoredRun
from trainyard.training import train

TINY = ("model.hidden_dims=[8]", "trainer.max_epochs=1", "logger=csv", "callbacks=none")


def test_a_run_comes_out_bitwise_equal_from_commit_and_patch(
    compose_run: Compose, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkout = Checkout.make(tmp_path / "project", whole=True)
    train(compose_run(*TINY))
    checkout.edit(
        "src/trainyard/training.py", "run.begin_training(cfg)", 'log.info("patched"), run.begin_training(cfg)'
    )
    run = StoredRun(tmp_path / "run")
    write_json(run.folder / "provenance.json", {**run.provenance, "git": git_state(checkout.folder)})
    checkout.git("checkout", "-q", "-b", "other")
    checkout.commit("what the run had as a patch")
    checkout.edit("src/trainyard/training.py", '"patched"', '"staged"')
    checkout.git("add", "-A")
    checkout.edit("src/trainyard/training.py", '"staged"', '"changed"')
    before = checkout.state()
    capfd.readouterr()
    package = checkout.folder / "src" / "trainyard"
    assert reproduce(StoredRun(run.folder), tmp_path / "again", yes=True, package=package) == 0
    said = capfd.readouterr().out
    assert said.splitlines()[-1] == "bitwise equal"
    assert "\npatched\n" in said
    assert "epoch 1/1" in said
    assert checkout.state() == before
    config = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())
    assert config["logger"]["csv"]["save_dir"] == config["run"]["dir"] == str(tmp_path / "again")
    assert {**config, "run": 0, "logger": 0} == {**run.config, "run": 0, "logger": 0}
