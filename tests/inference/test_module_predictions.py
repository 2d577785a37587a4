"""`trainyard predict RUN` writes what `predict_step` of any module returns, or says what is missing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from tests.inference.module_runs import CHARACTERS, UNET, record_module_run
from tests.user_modules.transformer import Characters, CharTransformer, Windows
from tests.user_modules.unet import Rectangles, UNet
from trainyard.inference.module_predictions import as_columns, describe, join_batches, predict_run
from trainyard.io.errors import ConfigError

TRUSTED = ["tests"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(record_module_run(tmp_path_factory.mktemp("predictions") / "run", CHARACTERS))


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the data module of the run a `predict_dataloader`, of 20 examples."""

    def predict_dataloader(data: Characters) -> DataLoader:
        return DataLoader(Windows(16, range(20)), batch_size=data.hparams.batch_size)

    monkeypatch.setattr(Characters, "predict_dataloader", predict_dataloader)


def expected(run: str) -> torch.Tensor:
    model = CharTransformer().eval()
    model.load_state_dict(torch.load(Path(run) / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"])
    return torch.stack([model(row["tokens"][None]).argmax(-1)[0] for row in Windows(16, range(20))])


def test_table_is_written_to_stdout(run: str, loader: None, run_command, tmp_path: Path) -> None:
    code, screen, errors = run_command("predict", run, "--trusted-packages", "tests")
    assert (code, errors) == (0, "")
    (tmp_path / "out.csv").write_text(screen)
    table = pd.read_csv("out.csv")
    assert list(table.columns) == ["example", *(f"prediction.{number}" for number in range(16))]
    assert table.to_numpy()[:, 1:].tolist() == expected(run).tolist()
    assert table.example.tolist() == list(range(20))


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".csv"])
def test_predictions_are_written_in_other_formats(run: str, loader: None, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"out{suffix}"
    [line] = predict_run(run, ["data.batch_size=7"], file, TRUSTED)
    assert line.endswith("int64 [20, 16]")
    read = {".npy": np.load, ".pt": torch.load, ".csv": lambda path: pd.read_csv(path).to_numpy()[:, 1:]}[suffix]
    assert read(file).tolist() == expected(run).tolist()


def test_images_are_written_into_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record_module_run(tmp_path / "run", UNET)
    monkeypatch.setattr(UNet, "predict_step", lambda self, batch, batch_idx: {"mask": self(batch[0]), "name": ["a"]})
    monkeypatch.setattr(Rectangles, "predict_dataloader", lambda self: DataLoader(self.parts[2], batch_size=5))
    [line] = predict_run(str(run), trusted=TRUSTED)
    assert line.endswith("predict.pt: mask float32 [16, 1, 16, 16]; name list of 4")
    assert torch.load(run / "predictions" / "predict.pt")["mask"].shape == (16, 1, 16, 16)
    with pytest.raises(ConfigError, match=r"--output=.*x\.csv: the predictions are not a table"):
        predict_run(str(run), output=tmp_path / "x.csv", trusted=TRUSTED)
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "RUN=RUN: Characters has no predict_dataloader"),
        (["photo.png"], "INPUT=photo.png: CharTransformer of RUN does not describe which files it takes"),
        (["--output", "x.json"], "--output=x.json: unknown extension\n  accepted: a file .csv, .npy, .pt"),
        (["--ensemble", "2"], "INPUT: none given"),
        (["data.batch=2"], "data.batch=2: the stored config has no such key; did you mean data.batch_size"),
    ],
)
def test_missing_parts_are_named(run: str, run_command, tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "photo.png").touch()
    code, screen, errors = run_command("predict", run, *words, "--trusted-packages", "tests")
    assert (code, screen) == (1, "")
    assert errors.replace(run, "RUN").startswith(message)


def test_missing_predict_step_is_named(tmp_path: Path) -> None:
    run = record_module_run(tmp_path / "run", UNET)
    with pytest.raises(ConfigError, match="UNet has no predict_step"):
        predict_run(str(run), trusted=TRUSTED)


def test_batches_are_joined() -> None:
    two, one = torch.ones(2, 3), torch.zeros(1, 3)
    assert join_batches([two, one]).shape == (3, 3)
    assert join_batches([{"a": two, "b": ["x", "y"]}, {"a": one, "b": ["z"]}])["b"] == ["x", "y", "z"]
    assert join_batches([(two, two[:, 0]), (one, one[:, 0])])[1].tolist() == [1, 1, 0]
    assert len(join_batches([two, torch.zeros(1, 4)])) == 2
    assert join_batches([None, None]) == [None, None]


def test_columns_of_a_table() -> None:
    scores = torch.tensor([[0.1, 0.9], [0.5, 0.5]])
    found = as_columns({"id": ["=a", "b"], "score": scores, "best": scores.argmax(1)})
    assert list(found) == ["id", "score.0", "score.1", "best"]
    assert [str(number) for number in found["score.0"]] == ["0.1", "0.5"]
    assert as_columns((scores[:, 0], scores[:, 1])).keys() == {"prediction.0", "prediction.1"}
    assert as_columns(scores.bfloat16())["prediction.1"] == ["0.8984375", "0.5"]
    assert as_columns({"id": ["a"], "score": scores}) == {}
    assert as_columns(torch.zeros(2, 3, 4)) == as_columns([None]) == as_columns(torch.zeros(2, 2000)) == {}
    assert describe((scores, [1])) == "(float32 [2, 2], list of 1)"
