"""Tests any LightningModule again with Lightning's test, and compares the metrics with those of its run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig

from trainyard.history.stored_run import StoredRun
from trainyard.inference.capabilities import check_provides
from trainyard.inference.trainer import prepare_inference, without_training_callbacks
from trainyard.io.errors import join_limited
from trainyard.io.files import relative, write_json, write_text
from trainyard.run.rebuild import build_stored
from trainyard.run.threads import read_threads, use_threads
from trainyard.terminal.controls import escape_controls
from trainyard.terminal.tables import markdown_cell, markdown_table, table

SAME = "the run    has exactly the same scores"
COLUMNS = ("metric", "now", "in the run")


@dataclass(frozen=True)
class ModuleEvaluation:
    """The metrics that a module logged in a test."""

    name: str  # of the run
    checkpoint: str  # its path
    parts: tuple[str, str]  # the names of the classes of module and data module
    scores: dict[str, float]
    stored: dict[str, float]  # metrics with these names in the run's result
    options: list[str] = field(default_factory=list)  # overrides

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Name, value and value in the run of each metric."""
        numbers = ((name, value, self.stored.get(name)) for name, value in self.scores.items())
        return [(name, f"{value:.6g}", "" if was is None else f"{was:.6g}") for name, value, was in numbers]

    @property
    def note(self) -> str:
        """A line that says whether the metrics are exactly those of the run's own test."""
        if not self.scores:
            return f"the test   logged no metrics: {self.parts[0]}.test_step calls self.log for none"
        if not self.stored:
            return "the run    has no test scores"
        unknown = [name for name in self.scores if name not in self.stored]
        gaps = {name: abs(value - self.scores[name]) for name, value in self.stored.items()}
        largest = max(gaps, key=lambda name: gaps[name])
        if unknown or gaps[largest]:
            more = f"; it lacks {join_limited(unknown)}" if unknown else ""
            return f"the run    differs by at most {gaps[largest]:.2g} in {largest}{more}"
        return SAME

    @property
    def summary(self) -> list[str]:
        """Lines about the model and the data."""
        return [f"model      {self.name} ({self.checkpoint}), {self.parts[0]}", f"data       {self.parts[1]}"]

    @property
    def lines(self) -> list[str]:
        """The report as text."""
        scores = [table(COLUMNS, self.rows, right=COLUMNS[1:])] if self.scores else []
        return [*self.summary, *scores, self.note]

    def write(self, folder: Path, stem: str) -> list[Path]:
        """Write Markdown and JSON into a folder and return their paths, see `Evaluation.write`."""
        folder.mkdir(parents=True, exist_ok=True)
        page, data = folder / f"{stem}.md", folder / f"{stem}.json"
        points = "\n".join(f"- {markdown_cell(line)}" for line in (*self.summary, self.note))
        text = "\n\n".join([f"# {markdown_cell(self.name)}", points, markdown_table(COLUMNS, self.rows)])
        write_text(page, escape_controls(f"{text}\n"))
        content: dict[str, Any] = {"run": self.name, "checkpoint": self.checkpoint, "options": self.options}
        write_json(data, {**content, "metrics": self.scores, "stored": self.stored, "notes": [self.note]})
        return [data, page]


@isolate_rng()
def evaluate_module(
    run: StoredRun, checkpoint: Path, cfg: DictConfig, options: Sequence[str] = (), trusted: Sequence[str] = ()
) -> ModuleEvaluation:
    """Test the module of a run with a checkpoint, as at the end of its training.

    Raises:
        ConfigError: a part cannot be rebuilt, lacks what a test needs, or the weights do not fit it.
    """
    model, data = build_stored(cfg, trusted)
    check_provides(model, data, "test_step", "test_dataloader", run.name)
    trainer = prepare_inference(model, checkpoint, cfg)
    with without_training_callbacks(), use_threads(read_threads(run.folder)):
        results = trainer.test(model, data, ckpt_path=checkpoint, verbose=False, weights_only=True)
    scores = {name: float(value) for loader in results for name, value in loader.items()}
    stored = {name: run.metrics[name] for name in scores if name in run.metrics}
    names = type(model).__qualname__, type(data).__qualname__
    return ModuleEvaluation(run.name, relative(checkpoint), names, scores, stored, list(options))
