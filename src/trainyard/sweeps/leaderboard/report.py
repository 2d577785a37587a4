"""The leaderboard of a sweep as text, CSV, Markdown and picture, and its failures by cause."""

import io
import math
import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainyard.config.objective import Objective, split_stage
from trainyard.io.csv_text import csv_writer, escape_formula
from trainyard.io.errors import config_error
from trainyard.io.files import replacing, write_text
from trainyard.sweeps.job import Job
from trainyard.sweeps.leaderboard.ranking import Row, main_effects, range_warnings
from trainyard.sweeps.search_space import is_replicate
from trainyard.sweeps.stored import StoredSweep
from trainyard.terminal.controls import escape_controls
from trainyard.terminal.formats import format_baseline, format_score
from trainyard.terminal.tables import markdown_table, table

CSV, MARKDOWN, PICTURE = "leaderboard.csv", "leaderboard.md", "leaderboard.png"
MAX_METRICS = 8
MAX_ROWS = 20  # on the terminal and in the picture


def leaderboard_text(sweep: StoredSweep, test: bool = False) -> str:
    """Return the leaderboard for the terminal; with `test`, it has the test scores of all configurations."""
    rows = sweep.rows
    head, *cells = leaderboard_cells(rows, sweep.objective, test)
    lines = [table(head, cells[:MAX_ROWS])]
    if len(rows) > MAX_ROWS:
        lines.append(f"... {len(rows) - MAX_ROWS} more in {CSV}")
    if sum(row.tied for row in rows) > 1:
        lines.append("= not significantly different from the best")
    if any(row.status == "pruned" for row in rows):
        lines.append("(...) best score before pruning, and the epoch of pruning")
    return "\n".join([*lines, *notes(sweep, rows)])


def leaderboard_cells(rows: Sequence[Row], objective: Objective, test: bool = False) -> list[list[str]]:
    """Return the header and the rows of a leaderboard."""
    others = other_metrics(rows, objective)
    cells = [row_cells(row, rank, objective, others, test) for rank, row in enumerate(rows, start=1)]
    names = list(dict.fromkeys(name for row in cells for name in row))
    repeated = any(len(row.jobs) > 1 for row in rows)
    head = ["mean seconds" if name == "seconds" and repeated else name for name in names]
    return [head, *([row.get(name, "") for name in names] for row in cells)]


def row_cells(row: Row, rank: int, objective: Objective, others: Sequence[str], test: bool) -> dict[str, str]:
    """Return the cells of a row by column: means over the replicates, epoch and checkpoint of the best one.

    Args:
        row: a configuration.
        rank: from 1.
        objective: the first of the scores.
        others: names of further scores.
        test: whether the test score of each row is shown, or only that of the first.
    """
    best = row.best.result
    cells = {"rank": f"{rank} =" if row.tied and rank > 1 else str(rank), **row.values, "status": row.status}
    if row.scores:
        cells[objective.name] = mean_and_std(row, objective.name)
        cells |= {name: mean_and_std(row, name) for name in others}
        baselines = [score for job in row.completed if isinstance(score := job.baseline.get(objective.name), float)]
        if baselines:
            cells["baseline"] = format_score(statistics.mean(baselines))
        cells["epoch"] = str(best["objective"]["epoch"])
        cells["seconds"] = f"{statistics.mean(job.result.get('seconds', 0.0) for job in row.completed):.1f}"
        path = row.best.folder / "checkpoints" / "best.ckpt"
        cells["checkpoint"] = str(path.relative_to(row.best.folder.parent)) if path.is_file() else "not kept"
    elif row.best.best_score is not None:
        cells |= {objective.name: f"({format_score(row.best.best_score)})", "epoch": str(best["epochs"])}
    metric = objective.test_name
    if row.scores and (test or rank == 1) and metric in best["metrics"]:
        cells[metric] = mean_and_std(row, metric)
    return cells


def other_metrics(rows: Sequence[Row], objective: Objective) -> list[str]:
    """Return the names of at most `MAX_METRICS` further validation metrics.

    Losses are left out, and variants of the objective: that of each of several numbers, such as `val/rmse_price`.
    """
    stage, _ = split_stage(objective.name)
    names = dict.fromkeys(name for row in rows for job in row.completed for name in job.metrics)
    others = [name for name in names if stage and split_stage(name)[0] == stage and not name.startswith(objective.name)]
    return [name for name in others if "loss" not in name][:MAX_METRICS]


def mean_and_std(row: Row, metric: str) -> str:
    """Return the mean of a metric over the completed jobs, with standard deviation and number of jobs."""
    values = [float(value) for job in row.completed if (value := job.metrics.get(metric)) is not None]
    if not values:
        return ""
    std = statistics.stdev(values) if all(map(math.isfinite, values)) and len(values) > 1 else math.nan
    spread = f" ± {format_score(std)}" if len(values) > 1 else ""
    return f"{format_score(statistics.mean(values))}{spread}" + (f" ({len(values)})" if len(row.jobs) > 1 else "")


def explanations(sweep: StoredSweep, rows: Sequence[Row]) -> list[str]:
    """Return the lines that explain the numbers, and name the run of `best:SWEEP`."""
    if not rows or not rows[0].scores:
        return []
    lines, job = [], rows[0].best
    if any(len(row.jobs) > 1 for row in rows):
        keys = ", ".join(axis.lstrip("+") for axis in sweep.space.axes if is_replicate(axis))
        lines.append(f"mean ± standard deviation (runs) over {keys}; epoch and checkpoint are those of the best run")
    names = [name for name in (sweep.objective.name, sweep.objective.test_name) if name in job.metrics]
    scores = ", ".join(
        f"{name} {format_score(job.metrics[name])}{format_baseline(job.baseline, name)}" for name in names
    )
    return [*lines, f"best:{sweep.folder.name} is run {job.number}: {scores}"]


def notes(sweep: StoredSweep, rows: Sequence[Row], quote: str = "") -> list[str]:
    """Return the lines below the table: explanations, the mean score of each value of each axis, and warnings."""
    lines = explanations(sweep, rows)
    for axis, means in main_effects(rows, sweep.space.axes).items():
        text = ", ".join(f"{value} {format_score(score)}" for value, score in means.items())
        lines.append(f"{quote}{axis}{quote}: {text}")
    return [*lines, *range_warnings(rows, sweep.space.axes)]


def write_report(sweep: StoredSweep) -> None:
    """Write leaderboard.csv, leaderboard.md and leaderboard.png into the directory of a sweep."""
    rows, folder = sweep.rows, sweep.folder
    for name in (CSV, MARKDOWN, PICTURE):
        if (folder / name).is_dir():
            raise config_error(
                "SWEEP", folder, f"{name} is a folder, but must be a file", "the sweep without that folder"
            )
    cells = leaderboard_cells(rows, sweep.objective)
    file = io.StringIO()
    csv_writer(file).writerows(map(escape_formula, row) for row in cells)
    write_text(folder / CSV, file.getvalue())
    items = [f"- {note}" for note in notes(sweep, rows, quote="`")]
    lines = [f"# {folder.name}", "", markdown_table(cells[0], cells[1:]), "", *items, ""]
    write_text(folder / MARKDOWN, escape_controls("\n".join(lines)))
    if any(row.scores for row in rows):
        draw_leaderboard(sweep, [row for row in rows if row.scores])


def draw_leaderboard(sweep: StoredSweep, rows: Sequence[Row]) -> None:
    """Draw the best configurations, and below them the score along each axis."""
    effects = main_effects(rows, sweep.space.axes)
    keys = [axis for axis in sweep.space.axes if axis in effects or axis in sweep.space.intervals]
    height = 1.5 + 0.3 * len(rows[:MAX_ROWS])
    figure = Figure(figsize=(9, height + 1.8 * bool(keys)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[height, 2 if keys else 0.01])  # type: ignore[misc]
    draw_best(above.subplots(), rows[:MAX_ROWS], sweep.objective)
    if keys:
        for axes, key in zip(below.subplots(1, len(keys), sharey=True, squeeze=False)[0], keys, strict=True):
            draw_effect(axes, sweep, rows, key, effects.get(key, {}))
    with replacing(sweep.folder / PICTURE) as draft:
        figure.savefig(draft, format="png", dpi=110)


def draw_best(axes: Axes, rows: Sequence[Row], objective: Objective) -> None:
    """Draw the mean score of each configuration, with the standard deviation over its replicates."""
    names = [escape_controls(" ".join(row.values.values()), keep="") or "all runs" for row in rows]
    for place, row in enumerate(rows):
        std = 0.0 if math.isnan(row.std) else row.std
        axes.errorbar(row.mean, place, xerr=std, fmt="o", color="tab:blue" if row.tied else "tab:gray", capsize=3)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.set_xlabel(f"{objective}; blue: not significantly different from the best")
    axes.grid(axis="x", alpha=0.3)


def draw_effect(axes: Axes, sweep: StoredSweep, rows: Sequence[Row], key: str, effect: Mapping[str, float]) -> None:
    """Draw the mean score of each value of a key, or all scores if the key has an interval."""
    if key in sweep.space.intervals:
        axes.plot([float(row.values[key]) for row in rows], [row.mean for row in rows], "o", markersize=3)
        axes.set_xscale("log" if "log" in sweep.space.values[key][0] else "linear")
    else:
        axes.plot(list(effect), list(effect.values()), "o-")
    axes.set_title(escape_controls(key, keep=""), fontsize=9)
    axes.tick_params(axis="x", labelrotation=30, labelsize=8)
    axes.grid(alpha=0.3)


def final_report(sweep: StoredSweep) -> tuple[str, bool]:
    """Write the leaderboard; return it with the failures by cause, and whether all jobs are done."""
    write_report(sweep)
    problems = group_failures(sweep.jobs, list(sweep.space.axes))
    if missing := [f"#{job.number}" for job in sweep.jobs if not job.has_ended]:
        problems.append(f"{len(missing)} not done: {', '.join(missing)}; the same command resumes them")
    return "\n".join([leaderboard_text(sweep), *problems]), not problems


def group_failures(jobs: Sequence[Job], axes: Sequence[str]) -> list[str]:
    """Return a line for each cause of failures, with the overrides that only the jobs of this cause have."""
    causes: dict[str, list[Job]] = {}
    for job in jobs:
        if job.status == "failed":
            causes.setdefault(cause_of(job), []).append(job)
    lines = []
    for cause, members in causes.items():
        others = {override for job in jobs if job not in members for override in job.overrides}
        shared = set.intersection(*(set(job.overrides) for job in members)) - others
        varying = sorted(override for override in shared if override.partition("=")[0] in axes)
        common = f" (all {len(members)} have {' '.join(varying)})" if varying and len(members) > 1 else ""
        lines.append(f"{len(members)} failed: {cause}{common}: {', '.join(f'#{job.number}' for job in members)}")
    return lines


def cause_of(job: Job) -> str:
    """Return the first line of an error that is not empty, with the next one if it ends with a colon."""
    lines = [line.strip() for line in str(job.result.get("error") or "").splitlines() if line.strip()]
    text = " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])
    return text.removeprefix("ConfigError: ").rstrip(": ") or "unknown"
