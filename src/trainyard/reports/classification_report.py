"""The report of an evaluation, as text, JSON, Markdown and figures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainyard.io.figures import write_figure
from trainyard.io.files import write_json, write_text
from trainyard.reports.class_predictions import (
    Predictions,
    accuracy_interval,
    calibration_error,
    class_scores,
    confusion_matrix,
)
from trainyard.reports.classification_figures import MAX_CLASSES, calibration_figure, confusion_figure
from trainyard.terminal.controls import escape_controls
from trainyard.terminal.formats import format_baseline
from trainyard.terminal.tables import markdown_cell, markdown_table, table

MAX_ROWS = 20  # printed classes, and rows of a confusion matrix in Markdown
SCORES = ("class", "examples", "precision", "recall", "F1")


def score_rows(predictions: Predictions) -> list[tuple[object, ...]]:
    """Return the cells of a table of scores, one row for each class, lowest F1 first."""
    scores = sorted(class_scores(predictions), key=lambda row: row.f1)
    return [(row.name, row.examples, *(f"{score:.3f}" for score in row[2:])) for row in scores]


def class_table(predictions: Predictions) -> str:
    """Return the scores of each class as a Markdown table, lowest F1 first, and their unweighted mean."""
    columns = list(zip(*(row[2:] for row in class_scores(predictions)), strict=True))
    means = [f"{sum(column) / len(column):.3f}" for column in columns]
    return markdown_table(SCORES, [*score_rows(predictions), ("*mean*", len(predictions), *means)])


@dataclass(frozen=True)
class Evaluation:
    """Scores and predictions of a model on some examples."""

    name: str  # of the run or the ensemble
    checkpoint: str  # its path, or the number of checkpoints
    examples: str  # a description, such as `test split`
    scores: dict[str, float]  # test/acc and test/loss
    predictions: Predictions
    baseline: dict[str, Any] = field(default_factory=dict)  # of the most frequent class of training; empty if unknown
    options: list[str] = field(default_factory=list)  # overrides and options that differ from the run's own test
    notes: list[str] = field(default_factory=list)  # additional lines of the report

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the accuracy."""
        return accuracy_interval(int(self.predictions.correct.sum()), len(self.predictions))

    @property
    def summary(self) -> list[str]:
        """Lines about the model, the examples and the scores."""
        low, high = self.interval
        baseline = format_baseline(self.baseline, "test/acc")
        return [
            f"model      {self.name} ({self.checkpoint})",
            f"examples   {len(self.predictions)}: {self.examples}",
            f"test/acc   {self.scores['test/acc']:.4f}{baseline}  [{low:.4f}, {high:.4f}] 95 % interval (Wilson)",
            f"test/loss  {self.scores['test/loss']:.4f}",
            f"calibration error {calibration_error(self.predictions):.4f}",
            *self.notes,
        ]

    @property
    def class_lines(self) -> list[str]:
        """The scores of each class as text; of many classes, those with the lowest F1."""
        rows = score_rows(self.predictions)
        rest = [f"and {len(rows) - MAX_ROWS} classes with higher F1"] if len(rows) > MAX_ROWS else []
        return [table(SCORES, rows[:MAX_ROWS], right=SCORES[1:]), *rest]

    @property
    def lines(self) -> list[str]:
        """The report as text."""
        return [*self.summary, *self.class_lines]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values; over 1,000 classes, the confusion matrix is `None`."""
        small = len(self.predictions.classes) <= MAX_CLASSES
        return {
            "run": self.name,
            "checkpoint": self.checkpoint,
            "options": self.options,
            "examples": {"count": len(self.predictions), "which": self.examples},
            "metrics": self.scores,
            "baseline": self.baseline,
            "interval": {"test/acc": list(self.interval)},
            "calibration_error": calibration_error(self.predictions),
            "classes": [row._asdict() for row in class_scores(self.predictions)],
            "confusion_matrix": confusion_matrix(self.predictions).tolist() if small else None,
            "notes": self.notes,
        }

    def to_markdown(self, figures: list[str]) -> str:
        """Return the report as Markdown with the given image files."""
        summary = "\n".join(f"- {markdown_cell(line)}" for line in self.summary)
        parts = [f"# {markdown_cell(self.name)}", summary, class_table(self.predictions)]
        names = self.predictions.classes
        if len(names) <= MAX_ROWS:
            rows = zip(names, confusion_matrix(self.predictions).tolist(), strict=True)
            parts.append(markdown_table(["true, predicted as", *names], [[name, *counts] for name, counts in rows]))
        parts += [f"![{figure}]({figure})" for figure in figures]
        return escape_controls("\n\n".join(parts) + "\n")

    def write(self, folder: Path, stem: str) -> list[Path]:
        """Write JSON, Markdown and figures into a folder, the JSON last, and return their paths.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        figures = {"confusion_matrix": confusion_figure, "calibration": calibration_figure}
        if len(self.predictions.classes) > MAX_CLASSES:
            del figures["confusion_matrix"]
        pictures = [folder / f"{stem}_{name}.png" for name in figures]
        for path, draw in zip(pictures, figures.values(), strict=True):
            write_figure(draw(self.predictions), path)
        page, data = folder / f"{stem}.md", folder / f"{stem}.json"
        write_text(page, self.to_markdown([path.name for path in pictures]))
        write_json(data, self.to_dict())
        return [data, page, *pictures]
