"""A leaderboard as text, table file and picture."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from trainyard.files import write_text
from trainyard.sweeps.answer.effects import edges, main_effects
from trainyard.sweeps.answer.leaderboard import Row
from trainyard.sweeps.job import Job

SHOWN = 20  # rows on the screen


def columns(row: Row, rank: int, objective: str, test: bool) -> dict[str, str]:
    """Return what a row of the table says."""
    best = row.best.result
    spread = "" if math.isnan(row.std) else f" ± {row.std:.4f} ({len(row.scores)})"
    cells = {"rank": f"{rank}{' =' if row.tied and rank > 1 else ''}", **row.values, "status": row.status}
    if row.scores:
        cells |= {
            objective: f"{row.mean:.4f}{spread}",
            "epoch": str(best["objective"]["epoch"]),
            "seconds": f"{sum(job.result.get('seconds', 0.0) for job in row.jobs):.1f}",
            "checkpoint": checkpoint_of(row.best),
        }
    metric = objective.replace("val/", "test/")
    if row.scores and (test or rank == 1) and metric in best["metrics"]:
        cells[metric] = f"{best['metrics'][metric]:.4f}"
    return cells


def checkpoint_of(job: Job) -> str:
    """Return where the weights of a job lie in the sweep's directory, or that they were not kept."""
    path = job.folder / job.result["checkpoint"]
    return str(path.relative_to(job.folder.parent)) if path.is_file() else "not kept"


def table(rows: Sequence[Row], objective: str, test: bool = False) -> list[list[str]]:
    """Return the head and the rows of a leaderboard; the test score is that of the winner alone, unless asked for."""
    cells = [columns(row, rank, objective, test) for rank, row in enumerate(rows, start=1)]
    head = list(dict.fromkeys(name for row in cells for name in row))
    return [head, *([row.get(name, "") for name in head] for row in cells)]


def text(rows: Sequence[Row], axes: Mapping[str, Sequence[str]], objective: str, test: bool = False) -> str:
    """Return the leaderboard as a person reads it, with the effect of each axis and alarms."""
    lines = aligned(table(rows, objective, test)[: SHOWN + 1])
    if len(rows) > SHOWN:
        lines.append(f"... {len(rows) - SHOWN} more in leaderboard.csv")
    if len(rows) > 1 and sum(row.tied for row in rows) > 1:
        lines.append("= cannot be told from the best")
    for axis, effect in main_effects(rows, axes).items():
        lines.append(f"{axis}: " + ", ".join(f"{value} {score:.4f}" for value, score in effect.items()))
    return "\n".join([*lines, *edges(rows, axes)])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def write_report(folder: Path, rows: Sequence[Row], axes: Mapping[str, Sequence[str]], objective: str) -> None:
    """Write leaderboard.csv, leaderboard.md and leaderboard.png into a sweep's directory."""
    found = table(rows, objective)
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(found)
    write_text(folder / "leaderboard.csv", file.getvalue())
    head, *body = found
    marked = [head, ["---"] * len(head), *body]
    effects = main_effects(rows, axes)
    notes = [f"- `{axis}`: " + ", ".join(f"{v} {s:.4f}" for v, s in effect.items()) for axis, effect in effects.items()]
    notes += [f"- {line}" for line in edges(rows, axes)]
    lines = [f"# {folder.name}", "", *(f"| {' | '.join(map(bare, row))} |" for row in marked), "", *notes, ""]
    write_text(folder / "leaderboard.md", "\n".join(lines))
    draw(folder / "leaderboard.png", rows, effects, objective)


def bare(cell: str) -> str:
    """Return a cell whose bars do not end it."""
    return cell.replace("|", "\\|")


def draw(file: Path, rows: Sequence[Row], effects: Mapping[str, Mapping[str, float]], objective: str) -> None:
    """Draw the best configurations with their spread, and the effect of each axis."""
    shown = [row for row in rows if row.scores][:SHOWN]
    if not shown:
        return
    figure = Figure(figsize=(9, 1.5 + 0.3 * len(shown) + 1.8 * bool(effects)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1 + 0.3 * len(shown), 2 if effects else 0.01])  # type: ignore[misc]
    best = above.subplots()
    names = [" ".join(row.values.values()) or "all seeds" for row in shown]
    spread = [0.0 if math.isnan(row.std) else row.std for row in shown]
    colours = ["tab:blue" if row.tied else "tab:gray" for row in shown]
    for place, row in enumerate(shown):
        best.errorbar(row.mean, place, xerr=spread[place], fmt="o", color=colours[place], capsize=3)
    best.set_yticks(range(len(shown)), names)
    best.invert_yaxis()
    best.set_xlabel(f"{objective}; blue cannot be told from the best")
    best.grid(axis="x", alpha=0.3)
    if effects:
        axes = below.subplots(1, len(effects), sharey=True, squeeze=False)[0]
        for axis, (name, effect) in zip(axes, effects.items(), strict=True):
            axis.plot(list(effect), list(effect.values()), "o-")
            axis.set_title(name, fontsize=9)
            axis.tick_params(axis="x", labelrotation=30, labelsize=8)
            axis.grid(alpha=0.3)
    draft = file.with_name(f".{file.name}")
    figure.savefig(draft, format="png", dpi=110)
    draft.replace(file)
