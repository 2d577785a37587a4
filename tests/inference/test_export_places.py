"""Where an export writes, and what it leaves there when it is stopped."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.history.recorded import record
from tests.inference.exportable import build
from tests.inference.untrained import save
from trainyard.cli.main import main
from trainyard.inference.export import export
from trainyard.inference.export_formats import FORMATS


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with a checkpoint, in a folder of its own; its weights are written as they are, without a fresh process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(FORMATS, "safetensors", replace(FORMATS["safetensors"], run=here))
    folder = record(tmp_path / "run").folder
    (folder / "checkpoints").mkdir()
    save(build("numbers"), folder / "checkpoints" / "best.ckpt")
    return folder


def here(path: Path, inputs: list) -> list:
    return [build("numbers").predict_step(x, 0).detach() for x in inputs]


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["trainyard", "export", *words, "--format", "safetensors"])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), capsys.readouterr().err
    return 0, capsys.readouterr().err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_keeps_its_export_and_nothing_else_is_left(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(capsys, "run") == (0, "")
    assert names(run / "export") == ["model.safetensors", "model_card.md"]


def test_ctrl_c_leaves_nothing(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(path: Path, inputs: list) -> list:
        assert path.is_file()
        raise KeyboardInterrupt

    monkeypatch.setitem(FORMATS, "safetensors", replace(FORMATS["safetensors"], run=stopped))
    before = names(run)
    assert typed(capsys, "run") == (130, "interrupted\n")
    assert names(run) == before


def test_a_wrong_export_leaves_nothing(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(path: Path, inputs: list) -> list:
        return [x + 2e-4 for x in here(path, inputs)]

    monkeypatch.setitem(FORMATS, "safetensors", replace(FORMATS["safetensors"], run=wrong))
    before = names(run)
    code, errors = typed(capsys, "run")
    assert code == 1
    assert "the probabilities in a reloaded model differ by 0.0002; the file is removed" in errors
    assert names(run) == before


def test_a_link_out_of_the_run_is_not_followed(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (run / "export").symlink_to(outside)
    code, errors = typed(capsys, "run")
    assert (code, names(outside)) == (1, [])
    assert "outside of the run" in errors


def test_a_link_in_place_of_the_file_is_replaced(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (run / "export").mkdir()
    for name in ("model.safetensors", "model_card.md"):
        (tmp_path / f"mine {name}").write_text("mine")
        (run / "export" / name).symlink_to(tmp_path / f"mine {name}")
    assert typed(capsys, "run") == (0, "")
    for name in ("model.safetensors", "model_card.md"):
        assert (tmp_path / f"mine {name}").read_text() == "mine"
        assert not (run / "export" / name).is_symlink()


def test_a_link_in_place_of_the_draft_is_not_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "safetensors", replace(FORMATS["safetensors"], run=here))
    monkeypatch.setattr("os.getpid", lambda: 7)
    (tmp_path / "mine").write_text("mine")
    (tmp_path / ".model.7.draft.safetensors").symlink_to(tmp_path / "mine")
    assert export(build("numbers"), "safetensors", tmp_path / "model.safetensors") == 0
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_checkpoint_without_a_run_has_its_export_beside_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = run.parent / "given" / "m.ckpt"
    alone.parent.mkdir()
    (run / "checkpoints" / "best.ckpt").rename(alone)
    assert typed(capsys, "given/m.ckpt") == (0, "")
    assert names(alone.parent / "export") == ["model.safetensors", "model_card.md"]


def test_a_folder_is_no_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, errors = typed(capsys, "run", "--output", "run")
    assert code == 1
    assert errors == "--output=run: it is a folder\n  accepted: run/model.safetensors\n"
