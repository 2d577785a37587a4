"""The config of a run from someone else has nothing built but data of known packages, and writes nothing elsewhere."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from trainyard.config import compose
from trainyard.errors import ConfigError
from trainyard.evaluation.evaluate import evaluate, write
from trainyard.files import inside
from trainyard.stored_run import StoredRun
from trainyard.training import train


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody has touched."""
    folder = tmp_path_factory.mktemp("sound") / "run"
    words = ["data=penguins", "model.hidden_dims=[5]", "callbacks=none", "logger=csv", "trainer.max_epochs=1"]
    train(compose([*words, "accelerator=cpu", f"hydra.run.dir={folder}"]))
    return folder


@pytest.fixture
def run(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(sound, tmp_path / "run"))


@pytest.fixture(autouse=True)
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a command that is run would leave."""
    monkeypatch.setenv("SECRET", "hidden-in-the-environment")
    return tmp_path / "ran"


def change(run: Path, path: str, value: Any) -> None:
    """Put a value into the stored config, as an editor does."""
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    node = config
    *parents, last = path.split(".")
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value
    file.write_text(yaml.safe_dump(config, sort_keys=False))


def refused(run: Path) -> str:
    """Return what is said; it must fit into two lines, and nothing may have been written."""
    with pytest.raises(ConfigError) as error:
        evaluate(str(run))
    assert len(str(error.value).splitlines()) <= 2
    assert not (run / "evaluation").exists()
    return str(error.value)


def test_an_untouched_one_is_evaluated(run: Path) -> None:
    found, _ = evaluate(str(run))
    assert found.notes == ["the run    said the same, to the last bit"]


CALL = {"_target_": "os.system", "command": "touch ran"}
ATTACKS = [
    ("data._target_", "os.system"),
    ("data._target_", "subprocess.Popen"),
    ("data", {**CALL, "batch_size": 1}),
    ("data.root", CALL),
    ("data.path", {"deeper": [[CALL]]}),
    ("data._args_", [CALL]),
    ("data.augment", {**CALL, "_partial_": True}),
    ("data.x", {"_target_": "functools.partial", "_args_": [CALL]}),
    ("data.x", {"_target_": "hydra.utils.call", "config": CALL}),
    ("data.x", {"_target_": "hydra.utils.get_method", "path": "os.system"}),
    (
        "data.x",
        {"_target_": "builtins.getattr", "_args_": [{"_target_": "importlib.import_module", "name": "os"}, "system"]},
    ),
    ("data.x", {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "evil", "source": "local"}),
    ("data.x", {"_target_": "torch.load", "f": "evil.pt", "weights_only": False}),
    ("data.x", {"_target_": "torch.os.system", "command": "touch ran"}),
    ("data.x", {"_target_": "torch.utils.collect_env.run", "command": "touch ran"}),
    ("data.x", {"_target_": "torch.utils.cpp_extension.load_inline", "name": "x", "cpp_sources": ""}),
    ("data.x", {"_target_": "torch.distributed.elastic.multiprocessing.subprocess_handler.SubprocessHandler"}),
    ("data.x", {"_target_": "trainyard.runs.shutil.rmtree", "path": "."}),
    ("data.x", {"_target_": "trainyard.runs.clear", "folder": "."}),
    ("data.x", {"_target_": "timm.models.load_checkpoint", "_args_": []}),
    ("data._target_", "lightning.Trainer"),
    ("data._target_", ["os", "system"]),
    ("data._target_", {"_target_": "os.system", "command": "touch ran"}),
    ("callbacks.x", CALL),
    ("model._target_", "os.system"),
    ("trainer._target_", "os.system"),
    ("strange", {"list": [1, {"deep": CALL}]}),
]


@pytest.mark.parametrize(("path", "value"), ATTACKS)
def test_nothing_else_is_built(run: Path, trace: Path, path: str, value: Any) -> None:
    change(run, path, value)
    said = refused(run)
    assert "_target_" in said or "no such argument" in said
    assert not trace.exists()
    assert run.exists()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data._target_", '${oc.decode:"os.system"}'),
        ("data._target_", "${oc.env:SECRET}"),
        ("data.root", "${oc.env:SECRET}"),
        ("data.batch_size", "${data.seed}"),
        ("data.x", ["a", {"b": "${oc.create:{_target_:os.system}}"}]),
        ("data.${oc.env:SECRET}", 1),
    ],
)
def test_nothing_is_interpolated(run: Path, path: str, value: Any) -> None:
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    head, _, last = path.partition(".")
    config[head][last] = value
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    said = refused(run)
    assert "nothing to be interpolated" in said
    assert os.environ["SECRET"] not in said


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch ran']",
        "!!python/name:os.system",
        "{_target_: !!python/object/new:os.system ['touch ran']}",
    ],
)
def test_yaml_makes_no_objects(run: Path, trace: Path, text: str) -> None:
    file = run / "config.yaml"
    lines = file.read_text().replace("\ndata:\n", f"\nstrange: {text}\ndata:\n", 1)
    file.write_text(lines)
    evaluate(str(run))  # what is no YAML of plain values is as if it were not there
    file.write_text(lines.replace("\ndata:\n", f"\ndata: {text}\nother:\n", 1))
    assert "missing or damaged" in refused(run)
    assert not trace.exists()


def test_a_yaml_that_stands_for_billions_is_refused_soon(run: Path) -> None:
    lines = ["strange:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    file = run / "config.yaml"
    file.write_text(file.read_text() + "\n" + "\n".join(lines) + "\n")
    assert "more than 20000 values" in refused(run)


def test_trusted_packages_in_a_config_are_nobodys_word(run: Path) -> None:
    change(run, "trusted_packages", ["os"])
    change(run, "data._target_", "os.system")
    assert "data._target_=os.system" in refused(run)


def test_what_the_person_trusts_may_be_built(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_too.py").write_text("from trainyard.data.penguins import Penguins\nclass Mine(Penguins): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    change(run, "data._target_", "mine_too.Mine")
    assert "--trusted-packages" in refused(run)
    found, _ = evaluate(str(run), trusted=["mine_too"])
    assert found.notes == ["the run    said the same, to the last bit"]


@pytest.mark.parametrize("name", ["../../secret.ckpt", "/etc/passwd", "checkpoints/../../secret.ckpt", "link.ckpt"])
def test_the_checkpoint_is_one_in_the_run(run: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.ckpt").write_text("secret")
    (run / "link.ckpt").symlink_to(tmp_path / "secret.ckpt")
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps({**result, "checkpoint": name}))
    assert StoredRun(run).checkpoint == run / "checkpoints" / "best.ckpt"
    evaluate(str(run))


def test_a_report_goes_through_no_link(run: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (run / "evaluation").symlink_to(outside)
    with pytest.raises(ConfigError, match="outside of the run"):
        inside(run, "evaluation")
    (run / "evaluation").unlink()
    folder = inside(run, "evaluation")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("test.json", "test.md", "test_calibration.png", "test_confusion_matrix.png"):
        (folder / name).symlink_to(victim)
    found, _ = evaluate(str(run))
    write(found, folder)
    assert victim.read_text() == "mine"
    assert not (folder / "test.json").is_symlink()


@pytest.mark.parametrize("root", ["../elsewhere", "/tmp/nobody/has/typed/this"])
def test_nothing_is_downloaded_to_a_place_that_nobody_typed(run: Path, root: str) -> None:
    config = OmegaConf.load(run / "config.yaml")
    data = {
        "_target_": "trainyard.data.torchvision_sets.TorchvisionSet",
        "name": "MNIST",
        "root": root,
        "batch_size": 8,
    }
    OmegaConf.save(OmegaConf.merge(config, {"data": None}, {"data": data}), run / "config.yaml")
    assert "downloads nothing outside of the current folder" in refused(run)
    assert not Path(root).exists()


def test_images_are_cached_where_this_person_caches(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from trainyard.evaluation.data_to_test import source

    monkeypatch.setenv("TRAINYARD_CACHE", str(tmp_path / "own"))
    data = {"_target_": "trainyard.data.image_folder.ImageFolder", "root": "x", "cache": "/etc", "batch_size": 8}
    built = source(OmegaConf.create({"seed": 0, "data": data}), [])
    assert built.cache == tmp_path / "own"  # type: ignore[attr-defined]
