"""`train.py`: help, runs, and messages for invalid input."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.errors import MissingConfigException

from trainyard.cli.train import main
from trainyard.config.format_error import format_error, unparsable

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="there is a GPU here")
@pytest.mark.parametrize("choice", ["gpu", "ddp", "fsdp"])
def test_missing_gpu_is_reported(run_train, choice: str) -> None:
    code, _, errors = run_train(f"accelerator={choice}")
    assert code == 1
    assert f"accelerator={choice}: there is no cuda device here" in errors
    assert "auto or cpu or ddp_cpu" in errors


def test_nan_loss_stops_the_run_at_its_step(run_train, tmp_path: Path) -> None:
    code, _, errors = run_train("optimizer=sgd", "optimizer.lr=1e30", "trainer=quick")
    assert code == 1
    assert "at step 2 (epoch 1)" in errors
    assert "learning rate" in errors
    assert len(errors.strip().splitlines()) <= 5
    [run] = (tmp_path / "outputs" / "runs").iterdir()
    assert '"status": "failed"' in (run / "result.json").read_text()


def test_seed_zero_is_used(run_train, tmp_path: Path) -> None:
    assert run_train("trainer=quick", "seed=0", "experiment=penguins", "hydra.run.dir=a")[0] == 0
    assert run_train("trainer=quick", "seed=0", "experiment=penguins", "hydra.run.dir=b")[0] == 0
    weights = [__import__("torch").load(tmp_path / n / "checkpoints/last.ckpt")["state_dict"] for n in "ab"]
    assert all(bool((weights[0][key] == weights[1][key]).all()) for key in weights[0])


def test_piped_output_has_no_progress_bar(run_train) -> None:
    code, screen, errors = run_train("experiment=penguins", "trainer.max_epochs=3")
    lines = screen.splitlines()
    assert code == 0
    assert errors == ""
    assert sum(line.startswith("epoch ") for line in lines) == 3
    assert all(char.isprintable() for line in lines for char in line)
    assert "mlp (73 parameters)" in lines[0]
    table = lines[-10:]
    assert table[0].split() == ["loss", "acc"]
    rows = ["loss", "val", "test", "best", "first", "train/loss", "val/loss", "val/acc", "run", "view"]
    assert [line.split()[0] for line in table] == rows
    assert table[-1].startswith("view       tensorboard --logdir outputs/runs/")


def test_ctrl_c_before_training_prints_no_traceback(run_train, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(cfg: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainyard.run.training.train", interrupted)
    assert run_train("model=mlp") == (130, "", "interrupted\n")


def test_failed_run_prints_its_directory(run_train, tmp_path: Path) -> None:
    code, screen, errors = run_train(
        "experiment=penguins", "trainer.max_epochs=3", "optimizer=sgd", "optimizer.lr=1e30"
    )
    [run] = (tmp_path / "outputs" / "runs").iterdir()
    assert code == 1
    assert f"\nthe run failed; partial results are in outputs/runs/{run.name}\n" in screen
    assert "Traceback" not in screen + errors
    assert "Traceback" in (run / "run.log").read_text()


def test_a_sweep_runs_every_combination(run_train, tmp_path: Path) -> None:
    code, _, _ = run_train("-m", "model=mlp,cnn", "optimizer=sgd,adam", "trainer=quick", "logger=csv", "callbacks=none")
    assert code == 0
    [sweep] = (tmp_path / "outputs" / "sweeps").iterdir()
    assert sorted(path.name for path in sweep.iterdir() if path.is_dir()) == ["0", "1", "2", "3"]
    assert len(list(sweep.glob("*/result.json"))) == 4


def test_config_dir_adds_options(run_train, tmp_path: Path) -> None:
    own = tmp_path / "mine" / "model"
    own.mkdir(parents=True)
    (own / "tiny.yaml").write_text("# A small one.\ndefaults:\n  - mlp\nhidden_dims: [3]\n")
    code, screen, _ = run_train("--config-dir", "mine", "model=tiny", "data=penguins", "trainer=quick")
    assert code == 0
    assert "tiny (27 parameters)" in screen


@pytest.mark.parametrize(("launcher", "extra"), [("submitit_slurm", "slurm"), ("submitit_local", "slurm")])
def test_missing_launcher_is_reported_with_the_install_command(launcher: str, extra: str) -> None:
    error = MissingConfigException("", f"hydra/launcher/{launcher}", ["basic", "local"])
    text = format_error(error)
    assert text.startswith(f"hydra/launcher={launcher}: hydra_plugins.hydra_") or "not installed" in text
    assert f"[{extra}]'`" in text
    typo = format_error(MissingConfigException("", "hydra/launcher/locall", ["basic", "local"]))
    assert typo.startswith("hydra/launcher=locall: unknown option; did you mean local?")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("trainyard", "trian: not a command, and cannot be read as key=value"),
        ("train.py", "trian: cannot be read as key=value (reason)"),
    ],
)
def test_only_trainyard_has_commands(monkeypatch: pytest.MonkeyPatch, program: str, message: str) -> None:
    monkeypatch.setattr(sys, "argv", [program, "trian"])
    assert unparsable("trian", "reason") == message


def test_help_lists_groups_and_examples(run_train) -> None:
    code, screen, _ = run_train("--help")
    assert code == 0
    for line in (
        "  scheduler    constant, cosine, cosine_warmup*, exponential, linear, one_cycle,",
        "               plateau, polynomial, step",
        "  model        cnn, mlp*, resnet, tabular, transfer",
    ):
        assert line in screen
    examples = [line for line in screen.splitlines() if line.strip().startswith("python train.py")]
    assert len(examples) == 6
    assert len(screen.splitlines()) < 46


def test_help_lists_options_of_config_dir(run_train, tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").touch()
    assert (
        "  model        cnn, mlp*, resnet, tabular, tiny, transfer, whitened_cnn\n"
        in run_train("--config-dir", "mine", "--help")[1]
    )


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("words", [["--cfg", "job"], ["--help"], ["-sc", "query=bash"]])
def test_help_config_and_completion_import_no_torch(words: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["train.py", *{words!r}]
from trainyard.cli.train import main
try:
    main()
finally:
    print([name for name in ("torch", "lightning", "timm", "numpy") if name in sys.modules])
"""
    screen = run_python(code, COMP_LINE="train.py model=", COMP_POINT="15")
    assert screen.splitlines()[-1] == "[]"
    if words[0] == "-sc":
        assert "model=cnn" in screen


def test_full_traceback_is_printed_on_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "argv", ["train.py", "model.dropout=2"])
    with pytest.raises(ValueError, match="dropout"):
        main()


def test_processes_that_run_the_command_again_write_one_run(tmp_path: Path) -> None:
    """As `accelerator=ddp` starts a process for each GPU: here two on the processor."""
    words = ["accelerator=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]
    command = [sys.executable, str(REPOSITORY / "train.py"), *words, "trainer=quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 3/3") == done.stdout.count("best epoch") == 1
    [run] = (tmp_path / "outputs" / "runs").iterdir()
    assert (run / "run.log").read_text().count("best epoch") == 1


@pytest.mark.parametrize("command", [["train.py"], ["-m", "trainyard"]])
def test_all_entry_points_run(tmp_path: Path, command: list[str]) -> None:
    program = [str(REPOSITORY / "train.py")] if command == ["train.py"] else command
    words = [*program, "experiment=penguins", "trainer=quick"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs" / "latest" / "result.json").is_file()
    assert done.stderr == ""
