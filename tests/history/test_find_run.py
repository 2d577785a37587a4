"""Finding a run by each kind of name, and the errors for unknown names."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.history.recorded import record
from trainyard.history.find_run import find_checkpoint, find_run, find_run_and_checkpoint, iterate_runs
from trainyard.io.errors import ConfigError
from trainyard.io.files import point_to
from trainyard.run.run_directory import point_to_latest

NAMES = ("20260101-120000-mlp-digits-aa11", "20260102-120000-cnn-digits-bb22", "20260102-130000-cnn-shapes-cc22")


@pytest.fixture(autouse=True)
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs and a sweep of three jobs, the last of which has failed."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        record(Path("outputs/runs") / name)
    sweep = Path("outputs/sweeps/S")
    for number, score in enumerate((0.8, 0.9)):
        record(sweep / str(number), score)
    record(sweep / "2", result={"status": "failed", "objective": None, "error": "E"})
    content = {"objective": "val/acc", "values": {"seed": ["0", "1", "2"]}}
    (sweep / "sweep.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(content)))
    point_to(Path("outputs/latest"), Path("outputs/runs") / NAMES[1])
    return tmp_path / "outputs"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (NAMES[0], NAMES[0]),
        (f"outputs/runs/{NAMES[0]}", NAMES[0]),
        (f"outputs/runs/{NAMES[0]}/", NAMES[0]),
        ("20260101", NAMES[0]),
        ("bb22", NAMES[1]),
        ("20260102-13", NAMES[2]),
        ("latest", NAMES[1]),
        ("outputs/latest", NAMES[1]),
        ("S/0", "S/0"),
        ("outputs/sweeps/S/2", "S/2"),
        ("best:S", "S/1"),
        ("best:outputs/sweeps/S", "S/1"),
    ],
)
def test_finds_a_run_by_any_of_its_names(name: str, found: str) -> None:
    assert find_run(name).name == found


def test_finds_the_run_of_a_checkpoint(outputs: Path) -> None:
    for folder in (outputs / "runs" / NAMES[2], outputs / "sweeps" / "S" / "0"):
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "best.ckpt").touch()
        assert find_run(str(folder / "checkpoints" / "best.ckpt")).folder == folder


def test_the_best_job_of_a_loss_has_the_least(outputs: Path) -> None:
    file = outputs / "sweeps" / "S" / "sweep.yaml"
    file.write_text(file.read_text().replace("val/acc", "val/loss"))
    assert find_run("best:S").name == "S/0"


def test_latest_can_be_a_text_file(outputs: Path) -> None:
    (outputs / "latest").unlink()
    (outputs / "latest").write_text(f"runs/{NAMES[2]}\n")
    assert find_run("latest").name == find_run("outputs/latest").name == NAMES[2]


@pytest.mark.parametrize("name", ["latest", "outputs/latest"])
def test_latest_can_be_a_job_and_is_printed(outputs: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (outputs / "sweeps" / "S" / "1" / "checkpoints").mkdir()
    (outputs / "sweeps" / "S" / "1" / "checkpoints" / "best.ckpt").touch()
    point_to_latest(outputs / "sweeps" / "S" / "1")
    for find in (find_run, find_checkpoint, find_run_and_checkpoint):
        find(name)
        assert capsys.readouterr() == ("", f"latest     {Path('outputs/sweeps/S/1')}\n")
    point_to_latest(outputs / "runs" / NAMES[0])
    assert find_run(name).name == NAMES[0]
    point_to_latest(outputs / "elsewhere" / "run")
    assert find_run(name).name == NAMES[0]


def gone(pointer: Path) -> None:
    point_to(pointer, pointer.parent / "runs" / "gone")


def outside(pointer: Path) -> None:
    record(pointer.parent.parent / "foreign")
    pointer.symlink_to("../foreign")


POINTERS = {
    "none": lambda pointer: None,
    "gone": gone,
    "outside": outside,
    "a loop": lambda pointer: pointer.symlink_to("latest"),
    "bytes": lambda pointer: pointer.write_bytes(b"\xff\xfe\0"),
    "long": lambda pointer: pointer.write_text("a" * 5000),
    "a folder": lambda pointer: pointer.mkdir(),
}


@pytest.mark.parametrize("damage", POINTERS)
def test_latest_without_pointer_is_the_last_started_run(outputs: Path, damage: str) -> None:
    record(outputs / "sweeps" / "S" / "4", provenance={"started": "2026-03-01T00:00:00+00:00"})
    (outputs / "latest").unlink()
    POINTERS[damage](outputs / "latest")
    assert find_run("latest").name == "S/4"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (
            "20260101-120000-mlp-digits-aa12",
            [f"did you mean {NAMES[0]}", f"newest: {NAMES[2]}, {NAMES[1]}"],
        ),
        ("22", ["2 runs begin or end with it", f"{NAMES[2]}, {NAMES[1]}"]),
        ("S", ["is a sweep", "S/0, or best:S"]),
        ("S/7", ["the sweep has no such job", "0, 1, 2"]),
        ("best:T", ["SWEEP=T: unknown sweep", "S"]),
        ("", ["RUN='': unknown run", "newest"]),
        ("outputs", ["unknown run"]),
    ],
)
def test_unknown_name_lists_candidates(name: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        find_run(name)
    assert all(part in str(caught.value) for part in parts), caught.value
    assert len(str(caught.value).splitlines()) <= 3


def test_checkpoint_outside_of_a_run_is_reported(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").touch()
    with pytest.raises(ConfigError, match="outside of a run"):
        find_run(str(tmp_path / "best.ckpt"))


def test_missing_runs_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"RUN=latest: there is none yet\n.*\n  newest: none in"):
        find_run("latest", tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    point_to(tmp_path / "empty" / "latest", tmp_path / "empty" / "runs" / "gone")
    with pytest.raises(ConfigError, match="empty/latest points to no run"):
        find_run("latest", tmp_path / "empty")


def test_best_job_needs_a_completed_job(outputs: Path) -> None:
    for number in (0, 1):
        (outputs / "sweeps" / "S" / str(number) / "result.json").unlink()
    with pytest.raises(ConfigError, match="no job is completed"):
        find_run("best:S")
    (outputs / "sweeps" / "S" / "3").mkdir()
    with pytest.raises(ConfigError, match=r"the sweep has no such job\n  accepted: 0, 1, 2$"):
        find_run("S/3")


def test_all_runs_includes_unfinished_runs_in_any_folder(outputs: Path) -> None:
    (outputs / "runs" / "killed").mkdir()
    (outputs / "sweeps" / "S" / "3").mkdir()
    (outputs / "sweeps" / "S" / ".3.removed").mkdir()
    (outputs / "mlruns" / "0").mkdir(parents=True)
    record(outputs / "reference" / "mlp" / "0")
    record(outputs / "runs" / NAMES[0] / "within")
    found = {run.name for run in iterate_runs()}
    assert found == {*NAMES, "killed", *(f"S/{number}" for number in range(4)), str(Path("outputs/reference/mlp/0"))}
