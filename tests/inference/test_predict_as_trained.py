"""Inputs are preprocessed as in training: the predictions for a run's own examples are those of the run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.data.sources.table_rows import N, frame
from trainyard.config.composition import compose, instantiate
from trainyard.data.sources.table import Table
from trainyard.inference.predict import predict_files
from trainyard.inference.prediction_batches import load_table, table_batches
from trainyard.run.load_model import load_model
from trainyard.run.training import train

ORIENTATION = 0x0112


def train_and_load_predictions(folder: Path, *words: str) -> tuple[Path, np.ndarray]:
    """Train for an epoch; return the run's directory and what it predicts on validation."""
    quick = ("trainer.max_epochs=1", "logger=csv", "model.hidden_dims=[8]", "optimizer.lr=0.03")
    train(compose([f"hydra.run.dir={folder / 'run'}", *quick, *words]))
    with np.load(folder / "run/predictions/val.npz") as stored:
        return folder / "run", stored["probabilities" if "probabilities" in stored else "predictions"]


def predict_to_file(run: Path, *words: str) -> Path:
    file = run.parent / "predictions.csv"
    assert predict_files(str(run), words, file) == 0
    return file


def predict_to_csv(run: Path, *words: str) -> pd.DataFrame:
    return pd.read_csv(predict_to_file(run, *words), dtype={"input": str, "prediction": str})


def save_pictures(root: Path) -> Path:
    """Write images of every kind into `train/`, `val/` and `test/`, each with two classes."""
    draws = np.random.default_rng(0)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    for place in (f"{split}/{name}" for split in ("train", "val", "test") for name in ("a", "b")):
        (root / place).mkdir(parents=True)
        for number, (mode, ending) in enumerate([("RGB", "png"), ("L", "png"), ("RGBA", "png"), ("RGB", "jpg")] * 3):
            size = (int(draws.integers(10, 40)), int(draws.integers(10, 40)))
            picture = Image.fromarray(draws.integers(0, 256, (*size, 4), dtype=np.uint8)).convert(mode)
            options = {"exif": exif} if number % 2 else {}
            picture.save(root / place / f"{number}.{ending}", **options)
    return root


def test_images_are_predicted_as_in_training(tmp_path: Path) -> None:
    root = save_pictures(tmp_path / "set")
    words = ("model=mlp", "data=image_folder", f"data.root={root}", "data.batch_size=8", "augment=flip")
    run, expected = train_and_load_predictions(tmp_path, *words)
    predictions = predict_to_csv(run, str(root / "val" / "a"), str(root / "val" / "b"))
    names = [f"{name}/{number}" for name in "ab" for number in range(12)]
    assert [str(Path(name).relative_to(root / "val").with_suffix("")) for name in predictions["input"]] == names
    # The run lists the files of a class as text is sorted: 0, 1, 10, 11, 2, ...
    order = np.argsort(
        [f"{name}{number}.{'jpg' if number % 4 == 3 else 'png'}" for name in "ab" for number in range(12)]
    )
    probabilities = predictions[["a", "b"]].to_numpy()
    assert np.abs(probabilities[order] - expected).max() < 1e-6
    assert probabilities.std() > 0.005, "the model tells pictures apart"
    assert predictions["prediction"].tolist() == ["ab"[best] for best in probabilities.argmax(axis=1)]


def full_table() -> pd.DataFrame:
    """Numbers, some missing, few and many levels, truth values, dates, and categories that look like numbers."""
    table = frame()
    draws = np.random.default_rng(1)
    table["on"] = draws.choice(["True", "False", None], N)
    table["day"] = pd.Series(pd.date_range("2026-01-01", periods=N)).dt.strftime("%Y-%m-%d")
    table["code"] = draws.choice(["007", "1.0", "2", "x"], N, p=[0.3, 0.3, 0.2, 0.2])
    table["count"] = draws.integers(0, 1000, N)
    table["power"] = [str(number) for number in draws.choice(["5", "5.0", "61.5", "70"], N)]
    table.loc[7, "power"] = "?"
    table["price"] = [f"${number:,.2f}" for number in draws.uniform(500, 2000, N)]
    table["at"] = [f"{hour}:30" for hour in draws.integers(0, 24, N)]
    table["us"] = pd.Series(pd.date_range("2026-01-01", periods=N)).dt.strftime("%m/%d/%Y")
    return table


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_rows_are_predicted_as_in_training(tmp_path: Path, ending: str) -> None:
    table = full_table()
    file = tmp_path / f"table.{ending}"
    table.to_parquet(file) if ending == "parquet" else table.to_csv(file, index=False)
    words = ("data=table", f"data.path={file}", "data.target=kind", "data.ignore=rare")
    run, expected = train_and_load_predictions(tmp_path, *words)
    data = instantiate(compose(list(words)).data)
    places = data.splits["val"].ids.numpy()
    predictions = predict_to_csv(run, str(file))
    assert predictions["input"].tolist() == [str(number) for number in range(1, N + 1)]
    assert np.abs(predictions[["narrow", "wide"]].to_numpy()[places] - expected).max() < 1e-6


@pytest.mark.parametrize("transform", ["none", "log"])
def test_numbers_are_predicted_as_in_training(tmp_path: Path, transform: str) -> None:
    table = full_table()
    table["cost"] = np.exp(table["count"] / 500 + 3)
    table["effort"] = table["count"] + 1.0
    table.to_csv(tmp_path / "table.csv", index=False)
    choices = ("data=table", f"data.path={tmp_path / 'table.csv'}", "data.ignore=[rare,kind]")
    words = (*choices, "data.target=[cost,effort]", f"data.target_transform={transform}")
    run, expected = train_and_load_predictions(tmp_path, *words)
    data = instantiate(compose(list(words)).data)
    places = data.splits["val"].ids.numpy()
    predictions = pd.read_csv(predict_to_file(run, str(tmp_path / "table.csv")))
    assert predictions.columns.tolist() == ["input", "cost", "effort"]
    found = predictions[["cost", "effort"]].to_numpy()
    assert found[places] == pytest.approx(expected, rel=1e-5)
    assert expected.std(axis=0).min() > 1, "the model tells rows apart"
    assert 100 < found[:, 1].mean() < 900, "in the unit of the column"


def test_labels_are_predicted_as_in_training(tmp_path: Path) -> None:
    table = full_table()
    marks = [(f"m{number}", table["count"] > 250 * number) for number in range(3)]
    table["marks"] = [";".join(name for name, present in marks if present[row]) or "[]" for row in range(N)]
    table.to_csv(tmp_path / "table.csv", index=False)
    choices = ("data=table", f"data.path={tmp_path / 'table.csv'}", "data.ignore=[rare,kind]")
    words = (*choices, "data.target=marks")
    run, expected = train_and_load_predictions(tmp_path, *words)
    data = instantiate(compose(list(words)).data)
    places = data.splits["val"].ids.numpy()
    predictions = pd.read_csv(predict_to_file(run, str(tmp_path / "table.csv")), keep_default_na=False)
    probabilities = predictions[["m0", "m1", "m2"]].to_numpy()
    assert np.abs(probabilities[places] - expected).max() < 1e-6
    thresholds = load_model(run / "checkpoints/best.ckpt").task.thresholds
    decided = [";".join(f"m{number}" for number in np.flatnonzero(row >= thresholds)) for row in probabilities]
    assert predictions["labels"].tolist() == decided
    assert thresholds != [0.5] * 3, "chosen on validation"


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_batch_size_does_not_change_encoded_rows(tmp_path: Path, rows: int) -> None:
    file = tmp_path / "table.csv"
    full_table().to_csv(file, index=False)
    data = Table(str(file), target="kind", batch_size=8, one_hot_limit=5)
    spec = data.spec
    assert [column.name for column in spec.columns if column.levels] == ["colour", "town", "rare", "code"]
    batches = list(table_batches([load_table(str(file), spec.columns)], spec.columns, rows))
    x = torch.cat([batch.x for batch in batches])
    assert max(len(batch.x) for batch in batches) == min(rows, N)
    for part in data.splits.values():
        assert torch.equal(x[part.ids].nan_to_num(-1), part.x.nan_to_num(-1))
