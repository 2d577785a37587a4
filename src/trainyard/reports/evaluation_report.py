"""The report of an evaluation as text, JSON, Markdown and figures; subclasses fill it for a kind of target."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from matplotlib.figure import Figure

from trainyard.io.figures import write_figure
from trainyard.io.files import write_json, write_text
from trainyard.reports.class_predictions import ClassScores
from trainyard.reports.label_predictions import LabelPredictions, LabelScores
from trainyard.reports.mistakes import WorstExamples, mistakes_figure, mistakes_table
from trainyard.reports.number_predictions import NumberPredictions
from trainyard.reports.split_predictions import SplitPredictions
from trainyard.terminal.controls import escape_controls
from trainyard.terminal.formats import describe_prediction
from trainyard.terminal.tables import markdown_cell, markdown_table, table

MAX_PRINTED = 5  # of the worst predictions
MAX_ROWS = 20  # printed classes or labels
TEST = "test/"


def score_cells(scores: Iterable[ClassScores | LabelScores]) -> list[tuple[object, ...]]:
    """Return the cells of a table of scores, one row for each class or label, lowest F1 first."""
    rows = sorted(scores, key=lambda row: row.f1)
    return [(row.name, row.examples, *(f"{value:.3f}" for value in row[2:])) for row in rows]


def lowest_scores(columns: Sequence[str], scores: Iterable[ClassScores | LabelScores], nouns: str) -> list[str]:
    """Return the scores of classes or labels as text; of many, those with the lowest F1 and a line on the others."""
    rows = score_cells(scores)
    rest = [f"and {len(rows) - MAX_ROWS} {nouns} with higher F1"] if len(rows) > MAX_ROWS else []
    return [table(columns, rows[:MAX_ROWS], right=columns[1:]), *rest]


@dataclass(frozen=True)
class Evaluation(ABC):
    """Scores and predictions of a model on some examples."""

    name: str  # of the run or the ensemble
    checkpoint: str  # its path, or the number of checkpoints
    examples: str  # a description, such as `test split`
    scores: dict[str, float]  # test/...
    predictions: SplitPredictions
    baseline: dict[str, Any] = field(default_factory=dict)  # of a constant prediction; empty if unknown
    options: list[str] = field(default_factory=list)  # overrides and options that differ from the run's own test
    notes: list[str] = field(default_factory=list)  # additional lines of the report
    worst: WorstExamples | None = None  # the worst predictions, if the report shows them

    @property
    def heading(self) -> list[str]:
        """Lines about the model and the examples."""
        return [
            f"model      {self.name} ({self.checkpoint})",
            f"examples   {len(self.predictions)}: {self.examples}",
        ]

    @property
    @abstractmethod
    def lines(self) -> list[str]:
        """The report as text."""

    @property
    @abstractmethod
    def points(self) -> list[str]:
        """The lines of the report in Markdown that precede its tables."""

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """Return JSON values about this kind of target."""

    @abstractmethod
    def markdown_tables(self) -> list[str]:
        """Return the tables of the report in Markdown."""

    @abstractmethod
    def figures(self) -> Mapping[str, Callable[[], Figure]]:
        """Return functions that draw the figures of the report, by name."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "run": self.name,
            "checkpoint": self.checkpoint,
            "options": self.options,
            "examples": {"count": len(self.predictions), "which": self.examples},
            "metrics": self.scores,
            "baseline": self.baseline,
            **self.details(),
            "notes": self.notes,
        }

    def to_markdown(self, figures: list[str]) -> str:
        """Return the report as Markdown with the given image files."""
        points = "\n".join(f"- {markdown_cell(line)}" for line in self.points)
        pictures = [f"![{figure}]({figure})" for figure in figures]
        parts = [f"# {markdown_cell(self.name)}", points, *self.markdown_tables(), *pictures]
        return escape_controls("\n\n".join(parts) + "\n")

    def write(self, folder: Path, stem: str) -> list[Path]:
        """Write JSON, Markdown and figures into a folder, the JSON last, and return their paths.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {folder / f"{stem}_{name}.png": draw for name, draw in self.figures().items()}
        for path, draw in pictures.items():
            write_figure(draw(), path)
        page, data = folder / f"{stem}.md", folder / f"{stem}.json"
        write_text(page, self.to_markdown([path.name for path in pictures]))
        write_json(data, self.to_dict())
        return [data, page, *pictures]


@dataclass(frozen=True)
class ScoreTable(Evaluation):
    """A report with a table of scores, intervals and a constant prediction's scores, and with the worst predictions."""

    predictions: NumberPredictions | LabelPredictions

    worst_title: ClassVar[str]
    worst_are_numbers: ClassVar[bool]

    @property
    def score_columns(self) -> tuple[str, ...]:
        """The names of the columns of `score_rows`."""
        return ("score", "value", "95 % interval", describe_prediction(self.baseline))

    @property
    def score_rows(self) -> list[tuple[str, ...]]:
        """Name, value, interval and baseline of each score."""
        rows: list[tuple[str, ...]] = []
        for name, value in self.scores.items():
            bounds, base = self.predictions.intervals.get(name.removeprefix(TEST)), self.baseline.get(name)
            interval = f"[{self.show(name, bounds[0])}, {self.show(name, bounds[1])}]" if bounds else ""
            rows.append((name, self.show(name, value), interval, "" if base is None else self.show(name, base)))
        return rows

    def show(self, name: str, value: float) -> str:
        """Return the value of a score as text."""
        return f"{value:.5g}"

    @property
    def worst_lines(self) -> list[str]:
        """The worst predictions as text."""
        if self.worst is None or not self.worst.positions:
            return []
        columns, found = ("example", *self.predictions.columns), self.worst
        pairs = zip(found.names, found.positions[:MAX_PRINTED], strict=False)
        rows = [(name, *self.predictions.describe(position)) for name, position in pairs]
        return [f"{self.worst_title}:", table(columns, rows, right=columns[1:] if self.worst_are_numbers else ())]

    @property
    def points(self) -> list[str]:
        return [*self.heading, *self.notes]

    @property
    def lines(self) -> list[str]:
        scores = table(self.score_columns, self.score_rows, right=self.score_columns[1:])
        return [*self.heading, scores, *self.notes, *self.target_lines, *self.worst_lines]

    @property
    def target_lines(self) -> list[str]:
        """A table of the scores of each name of the target as text, if there is one."""
        return []

    def details(self) -> dict[str, Any]:
        found = self.worst
        pairs = zip(found.names, found.positions, strict=True) if found else ()
        columns = ("example", *self.predictions.columns)
        worst = [dict(zip(columns, (name, *self.predictions.describe(at)), strict=True)) for name, at in pairs]
        intervals = {f"{TEST}{name}": list(bounds) for name, bounds in self.predictions.intervals.items()}
        return {"interval": intervals, "worst": worst}

    def markdown_tables(self) -> list[str]:
        found, parts = self.worst, [markdown_table(self.score_columns, self.score_rows)]
        if found and found.positions and found.spec.kind == "rows":
            rows = mistakes_table(self.predictions, found.positions, found.inputs, found.spec, found.names)
            parts.append(f"{self.worst_title}:\n\n{rows}")
        return parts

    def figures(self) -> dict[str, Callable[[], Figure]]:
        found = self.worst
        if found is None or not found.positions or found.spec.kind != "images":
            return {}
        return {"worst": partial(mistakes_figure, self.predictions, found.positions, found.inputs)}
