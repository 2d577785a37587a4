"""What an evaluation found, as text, JSON and pictures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from matplotlib import rc_context

from trainyard.evaluation.calibration import calibration_figure, expected_calibration_error
from trainyard.evaluation.confusion_matrix import WHOLE, confusion_counts, confusion_figure
from trainyard.evaluation.interval import accuracy_interval
from trainyard.evaluation.markdown import cell, markdown_table
from trainyard.evaluation.per_class import class_scores, class_table
from trainyard.evaluation.predictions import Predictions
from trainyard.files import replacing, write_json, write_text
from trainyard.terminal.aligned import aligned
from trainyard.terminal.baseline import beside_baseline
from trainyard.terminal.controls import escape_controls

SMALL = 20  # classes up to which the confusion matrix is a table too


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on some examples.

    Attributes:
        name: of the run, or of the ensemble.
        checkpoint: that was tested, or several.
        examples: which ones, such as `test split`.
        scores: `test/acc` and `test/loss`.
        predictions: of each example.
        baseline: what always predicting the most frequent class of training scores; empty where it is not known.
        typed: overrides and options that make it another evaluation than the run's own.
        notes: lines about it: whether it is what the run said, what an ensemble gains and costs.
    """

    name: str
    checkpoint: str
    examples: str
    scores: dict[str, float]
    predictions: Predictions
    baseline: dict[str, Any] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return accuracy_interval(int(self.predictions.hits.sum()), len(self.predictions))

    @property
    def summary(self) -> list[str]:
        """What was tested on what, and the scores of all examples together."""
        low, high = self.interval
        count, always = len(self.predictions), beside_baseline(self.baseline, "test/acc")
        return [
            f"model      {self.name} ({self.checkpoint})",
            f"examples   {count}: {self.examples}",
            f"test/acc   {self.scores['test/acc']:.4f}{always}  [{low:.4f}, {high:.4f}] 95 % interval, bootstrap",
            f"test/loss  {self.scores['test/loss']:.4f}",
            f"calibration error {expected_calibration_error(self.predictions):.4f}",
            *self.notes,
        ]

    @property
    def class_lines(self) -> list[str]:
        """Scores of each class, of those that are found worst where there are many."""
        rows = sorted(class_scores(self.predictions), key=lambda row: row.f1)
        texts = [
            (row.name, str(row.examples), *(f"{x:.3f}" for x in (row.precision, row.recall, row.f1))) for row in rows
        ]
        head = ("class", "examples", "precision", "recall", "F1")
        rest = [f"and {len(rows) - SMALL} classes that are found better"] if len(rows) > SMALL else []
        return [*aligned([head, *texts[:SMALL]]), *rest]

    @property
    def confusion_matrix(self) -> list[list[int]] | None:
        """Counts of true (row) and predicted class; `None` for more than 1,000 classes: the file would take 300 MB."""
        whole = len(self.predictions.classes) <= WHOLE
        return confusion_counts(self.predictions).tolist() if whole else None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "run": self.name,
            "checkpoint": self.checkpoint,
            "typed": self.typed,
            "examples": {"count": len(self.predictions), "which": self.examples},
            "metrics": self.scores,
            "baseline": self.baseline,
            "interval": {"test/acc": list(self.interval)},
            "calibration_error": expected_calibration_error(self.predictions),
            "classes": [
                {
                    "name": row.name,
                    "examples": row.examples,
                    "precision": row.precision,
                    "recall": row.recall,
                    "f1": row.f1,
                }
                for row in class_scores(self.predictions)
            ],
            "confusion_matrix": self.confusion_matrix,
            "notes": self.notes,
        }

    def to_markdown(self, pictures: list[str]) -> str:
        """Return a page."""
        parts = [
            f"# {cell(self.name)}",
            "\n".join(f"- {cell(line)}" for line in self.summary),
            class_table(self.predictions),
        ]
        names = self.predictions.classes
        if len(names) <= SMALL:
            rows = zip(names, confusion_counts(self.predictions).tolist(), strict=True)
            parts.append(markdown_table(["true, predicted as", *names], [[name, *counts] for name, counts in rows]))
        parts += [f"![{picture}]({picture})" for picture in pictures]
        return escape_controls("\n\n".join(parts) + "\n")

    def write(self, folder: Path, stem: str) -> list[Path]:
        """Write JSON, Markdown and pictures into a folder, and return them; the JSON comes last.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        figures = {"confusion_matrix": confusion_figure, "calibration": calibration_figure}
        pictures = [folder / f"{stem}_{name}.png" for name in figures]
        for path, figure in zip(pictures, figures.values(), strict=True):
            with rc_context({"text.parse_math": False}), replacing(path) as draft:  # a class may have a $ in its name
                figure(self.predictions).savefig(draft, dpi=110, bbox_inches="tight")
        page, data = folder / f"{stem}.md", folder / f"{stem}.json"
        write_text(page, self.to_markdown([path.name for path in pictures]))
        write_json(data, self.to_dict())
        return [data, page, *pictures]


def log_loss(predictions: Predictions) -> float:
    """Return the mean negative log of the probability of what each example is."""
    probabilities = predictions.probabilities.double().clamp(min=1e-45)
    return float(F.nll_loss(probabilities.log(), predictions.labels))
