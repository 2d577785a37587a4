"""The table of all runs: filtered by conditions, sorted, printed or written as CSV."""

import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from trainyard.config.composition import load_root
from trainyard.config.condition import GRAMMAR, Condition, is_number
from trainyard.config.objective import Objective, known_mode, metric_name
from trainyard.history.find_run import iterate_runs
from trainyard.history.stored_run import StoredRun
from trainyard.io.csv_text import csv_writer, escape_formula
from trainyard.io.errors import config_error, did_you_mean, join_limited
from trainyard.terminal.controls import unescaped
from trainyard.terminal.formats import format_score
from trainyard.terminal.tables import table

SUGGESTED = 50  # newest runs whose keys are suggested
COSTS = ("seconds", "epochs", "parameters")  # better if smaller
WIDTH = 50  # characters of the overrides in the table


def select_runs(conditions: Sequence[str], sort: str = "started", last: int | None = None) -> list[StoredRun]:
    """Return the runs under outputs/ that fulfil conditions; raise a ConfigError for a key that no run has.

    Args:
        conditions: see `Condition`; a run without the key does not fulfil it.
        sort: a key. The best come first: of a metric by its mode (the largest if it is not known), the smallest of
            seconds, epochs and parameters, the newest of `started`; with a leading minus the worst. Runs without the
            key come last.
        last: number of the newest runs to return; `None` for all.
    """
    runs = selected = list(iterate_runs())
    for condition in [parse_condition(text) for text in conditions]:
        matching = [run for run in selected if satisfies(run, condition)]
        if not matching:
            check_known(condition.keys, selected)
        selected = matching
    newest = sorted(selected, key=lambda run: run.started, reverse=True)[:last]
    key = sort.removeprefix("-")
    values = {run.folder: run.value(key) for run in newest if has_value(run, key)}
    if newest and not values:
        check_known([key], runs)
    is_score = key not in COSTS and all(map(is_number, values.values())) and mode_of(key, newest) == "max"
    descending = key == "started" or is_score
    with_value = [run for run in newest if values.get(run.folder) is not None]
    with_value.sort(key=lambda run: sort_key(values[run.folder]), reverse=descending != sort.startswith("-"))
    return [*with_value, *(run for run in newest if values.get(run.folder) is None)]


def mode_of(key: str, runs: Iterable[StoredRun]) -> str:
    """Return the mode of a metric: of a run with this objective, else the known one; by default, `max`."""
    for run in runs:
        with suppress(KeyError, ValueError):
            objective = Objective.from_stored({name: run.section(name) for name in ("objective", "objective_mode")})
            if metric_name(objective.name) == metric_name(key):
                return objective.mode
    return known_mode(key, load_root().get("metric_modes") or {}) or "max"


def parse_condition(text: str) -> Condition:
    """Parse a condition, or raise a ConfigError."""
    condition = Condition(text, "CONDITION")
    if condition.keys in (set(), {text.strip()}):
        raise config_error("CONDITION", text, "compares nothing", GRAMMAR)
    return condition


def satisfies(run: StoredRun, condition: Condition) -> bool:
    """Return whether a condition is true for a run."""
    try:
        return condition.evaluate(run.value)
    except (KeyError, TypeError):
        return False


def sort_key(value: Any) -> tuple[bool, float, str]:
    """Return a key that sorts numbers before texts."""
    return (False, value, "") if is_number(value) else (True, 0.0, str(value))


def has_value(run: StoredRun, key: str) -> bool:
    """Return whether a run has a value for a key."""
    try:
        run.value(key)
    except KeyError:
        return False
    return True


def check_known(keys: Iterable[str], runs: Sequence[StoredRun]) -> None:
    """Raise a ConfigError for a key that no run has."""
    for key in keys if runs else ():
        if not any(has_value(run, key) for run in runs):
            known = sorted({name for run in runs[-SUGGESTED:] for name in run.keys})
            parent = key.rpartition(".")[0]
            near = [name for name in known if name.rpartition(".")[0] == parent] or [n for n in known if "." not in n]
            problem = f"no run has such a key{did_you_mean(key, known)}"
            raise config_error("KEY", key, problem, join_limited(near, 40))


def print_table(runs: Sequence[StoredRun]) -> None:
    """Print the table."""
    rows = [format_row(run) for run in runs]
    if rows:
        print(table(list(rows[0]), [list(cells.values()) for cells in rows], right=["epochs", "seconds"]))
    print(f"{len(rows)} run{'' if len(rows) == 1 else 's'}")


def format_row(run: StoredRun) -> dict[str, str]:
    """Return the cells of a run, by column."""
    columns = run.columns
    overrides = " ".join(word for word in run.overrides if not word.startswith(("model=", "data=")))
    return {
        "run": run.name,
        "started": f"{run.started:%Y-%m-%d %H:%M}",
        "model": columns.get("model", ""),
        "data": columns.get("data", ""),
        "overrides": shorten(overrides),
        "status": run.status,
        "best": "" if columns["best"] is None else f"{columns['objective']} {format_score(columns['best'])}",
        "epochs": "" if columns["epochs"] is None else str(columns["epochs"]),
        "seconds": "" if columns["seconds"] is None else f"{columns['seconds']:.1f}",
    }


def shorten(overrides: str) -> str:
    """Return overrides; if they are long, only the last part of each key."""
    if len(overrides) > WIDTH:
        overrides = " ".join(re.sub(r"^[^=]*\.(?=[^=]*=)", "", word) for word in overrides.split(" "))
    return overrides if len(overrides) <= WIDTH else f"{overrides[: WIDTH - 3]}..."


def print_csv(runs: Sequence[StoredRun]) -> None:
    """Print a CSV for other programs, with all metrics and options."""
    names = list(dict.fromkeys(name for run in runs for name in run.columns))
    lines: list[list[Any]] = [["run" if name == "name" else name for name in names]]
    lines += [[run.columns.get(name) for name in names] for run in runs]
    stream = sys.stdout if sys.stdout.isatty() else unescaped(sys.stdout)
    csv_writer(stream).writerows(map(escape_formula, line) for line in lines)
