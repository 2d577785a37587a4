"""A leaderboard as text and table file."""

import io
import math
import statistics
from collections.abc import Sequence

from trainyard.csv_text import csv_writer, escape_formula
from trainyard.errors import reject
from trainyard.files import write_text
from trainyard.history.stored_run import StoredRun
from trainyard.sweeps.answer.effects import edges, main_effects
from trainyard.sweeps.answer.leaderboard import Row
from trainyard.sweeps.answer.picture import FILE as PICTURE
from trainyard.sweeps.answer.picture import draw
from trainyard.sweeps.job import Job
from trainyard.sweeps.search_space import is_replicate
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.aligned import aligned
from trainyard.terminal.baseline import beside_baseline
from trainyard.terminal.controls import escape_controls
from trainyard.terminal.markdown import markdown_table

SHOWN = 20  # rows on the screen


def columns(row: Row, rank: int, objectives: Sequence[str], test: bool) -> dict[str, str]:
    """Return what a row of the table says: means over the replicates, and the checkpoint of the best of them."""
    objective, best = objectives[0], row.best.result
    mark = " *" if row.on_front else " =" if row.tied and rank > 1 and len(objectives) == 1 else ""
    cells = {"rank": f"{rank}{mark}", **row.values, "status": row.status}
    if row.scores:
        cells[objective] = mean_and_std(row, objective)
        shares = [share for job in row.completed if isinstance(share := job.baseline.get(objective), float)]
        cells |= {"baseline": f"{statistics.mean(shares):.4f}"} if shares else {}
        seconds = [job.result.get("seconds", 0.0) for job in row.completed]
        cells |= {"epoch": str(best["objective"]["epoch"]), "seconds": f"{statistics.mean(seconds):.1f}"}
        cells |= {name: f"{row.mean_of(name):.4g}" for name in objectives[1:]}
        cells["checkpoint"] = checkpoint_of(row.best)
    elif row.best.best_so_far is not None:
        cells |= {objective: f"({row.best.best_so_far:.4f})", "epoch": str(row.best.result["epochs"])}
    metric = objective.replace("val/", "test/")
    if row.scores and (test or rank == 1) and metric in best["metrics"]:
        cells[metric] = mean_and_std(row, metric)
    return cells


def mean_and_std(row: Row, metric: str) -> str:
    """Return the mean of a metric over the completed jobs, with its standard deviation and their number."""
    values = [float(value) for job in row.completed if (value := job.metrics.get(metric)) is not None]
    if not values:
        return ""
    std = statistics.stdev(values) if all(map(math.isfinite, values)) and len(values) > 1 else math.nan
    spread = f" ± {std:.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}" + (f" ({len(values)})" if len(row.jobs) > 1 else "")


def checkpoint_of(job: Job) -> str:
    """Return where the weights of a job lie in the sweep's directory, or that they were not kept."""
    path = StoredRun(job.folder).checkpoint
    return str(path.relative_to(job.folder.parent)) if path.is_file() else "not kept"


def table(rows: Sequence[Row], objectives: Sequence[str], test: bool = False) -> list[list[str]]:
    """Return the head and the rows of a leaderboard; the test score is that of the winner alone, unless asked for."""
    cells = [columns(row, rank, objectives, test) for rank, row in enumerate(rows, start=1)]
    names = list(dict.fromkeys(name for row in cells for name in row))
    repeated = any(len(row.jobs) > 1 for row in rows)
    head = ["mean seconds" if name == "seconds" and repeated else name for name in names]
    return [head, *([row.get(name, "") for name in names] for row in cells)]


def explanations(sweep: StoredSweep, rows: Sequence[Row]) -> list[str]:
    """Return the lines that say what the numbers of a leaderboard mean, and which run `best:SWEEP` is."""
    if not rows or not rows[0].scores:
        return []
    lines, job = [], rows[0].best
    if any(len(row.jobs) > 1 for row in rows):
        keys = ", ".join(axis.lstrip("+") for axis in sweep.space.axes if is_replicate(axis))
        lines.append(f"mean ± standard deviation (runs) over {keys}; epoch and checkpoint are those of the best run")
    names = [name for name in (sweep.objective, sweep.objective.replace("val/", "test/")) if name in job.metrics]
    scores = ", ".join(f"{name} {job.metrics[name]:.4f}{beside_baseline(job.baseline, name)}" for name in names)
    return [*lines, f"best:{sweep.folder.name} is run {job.number}: {scores}"]


def text(sweep: StoredSweep, test: bool = False) -> str:
    """Return the leaderboard as a person reads it, with the effect of each axis and alarms."""
    rows, axes = sweep.rows, sweep.space.axes
    lines = aligned(table(rows, sweep.objectives, test)[: SHOWN + 1])
    if len(rows) > SHOWN:
        lines.append(f"... {len(rows) - SHOWN} more in leaderboard.csv")
    if any(row.on_front for row in rows):
        lines.append(f"* no other is better in {' and '.join(sweep.objectives)}")
    elif len(rows) > 1 and sum(row.tied for row in rows) > 1:
        lines.append("= not significantly different from the best")
    if any(row.status == "pruned" for row in rows):
        lines.append("(...) the best until it was pruned, at the epoch beside")
    lines += explanations(sweep, rows)
    for axis, effect in main_effects(rows, axes).items():
        lines.append(f"{axis}: " + ", ".join(f"{value} {score:.4f}" for value, score in effect.items()))
    return "\n".join([*lines, *edges(rows, axes)])


def write_report(sweep: StoredSweep) -> None:
    """Write leaderboard.csv, leaderboard.md and leaderboard.png into a sweep's directory."""
    rows, axes, folder = sweep.rows, sweep.space.axes, sweep.folder
    for name in ("leaderboard.csv", "leaderboard.md", PICTURE):
        if (folder / name).is_dir():
            raise reject("SWEEP", folder, f"{name} is a folder, but must be a file", "the sweep without that folder")
    found = table(rows, sweep.objectives)
    file = io.StringIO()
    csv_writer(file).writerows(map(escape_formula, row) for row in found)
    write_text(folder / "leaderboard.csv", file.getvalue())
    effects = main_effects(rows, axes)
    notes = [f"- {line}" for line in explanations(sweep, rows)]
    notes += [
        f"- `{axis}`: " + ", ".join(f"{v} {s:.4f}" for v, s in effect.items()) for axis, effect in effects.items()
    ]
    notes += [f"- {line}" for line in edges(rows, axes)]
    lines = [f"# {folder.name}", "", markdown_table(found[0], found[1:]), "", *notes, ""]
    write_text(folder / "leaderboard.md", escape_controls("\n".join(lines)))
    draw(sweep, rows, effects)
