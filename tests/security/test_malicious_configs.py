"""The config of an untrusted run only instantiates data sources of trusted packages."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.security.tampering import rejection, set_config
from trainyard.history.stored_run import StoredRun
from trainyard.inference.evaluate import evaluate


def test_valid_run_is_evaluated(run: Path) -> None:
    found, _ = evaluate(str(run))
    assert found.notes == ["the run    has exactly the same scores"]


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
    ("data.x", {"_target_": "trainyard.run.run.shutil.rmtree", "path": "."}),
    ("data.x", {"_target_": "trainyard.run.run.clear", "folder": "."}),
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
def test_other_targets_are_not_instantiated(run: Path, trace: Path, path: str, value: Any) -> None:
    set_config(run, path, value)
    message = rejection(run)
    assert "_target_" in message or "no such argument" in message
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
def test_interpolations_are_rejected(run: Path, path: str, value: Any) -> None:
    file = run / "config.yaml"
    config = yaml.safe_load(file.read_text())
    head, _, last = path.partition(".")
    config[head][last] = value
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    message = rejection(run)
    assert "must not contain interpolations" in message
    assert os.environ["SECRET"] not in message


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch ran']",
        "!!python/name:os.system",
        "{_target_: !!python/object/new:os.system ['touch ran']}",
    ],
)
def test_yaml_tags_are_rejected(run: Path, trace: Path, text: str) -> None:
    file = run / "config.yaml"
    lines = file.read_text().replace("\ndata:\n", f"\nstrange: {text}\ndata:\n", 1)
    file.write_text(lines)
    evaluate(str(run))  # YAML with tags is ignored
    file.write_text(lines.replace("\ndata:\n", f"\ndata: {text}\nother:\n", 1))
    assert "missing or damaged" in rejection(run)
    assert not trace.exists()


def test_yaml_aliases_are_not_expanded(run: Path) -> None:
    lines = ["strange:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    file = run / "config.yaml"
    file.write_text(file.read_text() + "\n" + "\n".join(lines) + "\n")
    assert StoredRun(run).config["strange"] is None
    evaluate(str(run))  # unreadable values are ignored


def test_trusted_packages_in_a_config_are_ignored(run: Path) -> None:
    set_config(run, "trusted_packages", ["os"])
    set_config(run, "data._target_", "os.system")
    assert "data._target_=os.system" in rejection(run)


def test_trusted_classes_are_instantiated(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_too.py").write_text(
        "from trainyard.data.sources.builtin import Penguins\nclass Mine(Penguins): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    set_config(run, "data._target_", "mine_too.Mine")
    assert "--trusted-packages" in rejection(run)
    found, _ = evaluate(str(run), trusted=["mine_too"])
    assert found.notes == ["the run    has exactly the same scores"]
