"""All runs as a table: those that fulfil conditions, in an order."""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from trainyard.csv_text import UnixLines, cell
from trainyard.history.condition import Condition, check_known, fulfilling, number
from trainyard.history.run_values import value_of
from trainyard.stored.find_run import all_runs
from trainyard.stored.run import StoredRun
from trainyard.sweeps.options import mode_of
from trainyard.terminal.aligned import aligned
from trainyard.terminal.controls import unescaped

TYPED = 50  # characters of what was typed that are shown


def chosen_runs(conditions: Sequence[str], sort: str = "started", last: int | None = None) -> list[StoredRun]:
    """Return the runs under outputs/ that fulfil conditions.

    Args:
        conditions: as in `Condition`.
        sort: a key: the best come first, which is the largest of a score and the least of a loss, of seconds, epochs
            and parameters, and the newest of `started`; the other way round behind a minus. Runs without it are last.
        last: how many of the newest are shown; `None` for all.

    Raises:
        ConfigError: a condition, or a key to sort by, that no run has.
    """
    read = [Condition.read(text) for text in conditions]
    runs = list(all_runs())
    found = sorted(fulfilling(runs, read), key=lambda run: run.started, reverse=True)[:last]
    key, reverse = sort.removeprefix("-"), sort.startswith("-")
    values = {run.folder: value for run in found if (value := sortable(run, key)) is not None}
    if found and not values:
        check_known(key, runs)
    having = [run for run in found if run.folder in values]
    descending = mode_of(key) == "max" and (key == "started" or all(number(v) is not None for v in values.values()))
    having.sort(key=lambda run: order(values[run.folder]), reverse=descending != reverse)
    return [*having, *(run for run in found if run.folder not in values)]


def sortable(run: StoredRun, key: str) -> Any:
    """Return what a run is sorted by, if it has it."""
    try:
        return value_of(run, key)
    except KeyError:
        return None


def order(value: Any) -> tuple[bool, float, str]:
    """Return what puts numbers in their order and before texts."""
    found = number(value)
    return (found is None, 0.0 if found is None else found, str(value))


def cells(run: StoredRun) -> dict[str, str]:
    """Return what a row of the table says."""
    objective = run.result.get("objective") or {}
    typed = " ".join(word for word in run.overrides if not word.startswith(("model=", "data=")))
    return {
        "run": run.name,
        "started": f"{run.started:%Y-%m-%d %H:%M}",
        "model": run.choices.get("model", ""),
        "data": run.choices.get("data", ""),
        "typed": shortened(typed),
        "status": run.status,
        "best": f"{objective['name']} {objective['value']:.4f}" if objective else "",
        "epochs": str(run.result.get("epochs", "")),
        "seconds": f"{run.result['seconds']:.1f}" if "seconds" in run.result else "",
    }


def shortened(typed: str) -> str:
    """Return what was typed; where it is long, by the last parts of its keys."""
    if len(typed) > TYPED:
        typed = " ".join(re.sub(r"^[^=]*\.(?=[^=]*=)", "", word) for word in typed.split(" "))
    return typed if len(typed) <= TYPED else f"{typed[: TYPED - 3]}..."


def show(runs: Sequence[StoredRun]) -> None:
    """Print the table."""
    rows = [cells(run) for run in runs]
    if rows:
        print("\n".join(aligned([list(rows[0]), *(list(row.values()) for row in rows)])))
    print(f"{len(rows)} run{'' if len(rows) == 1 else 's'}")


def write_csv(runs: Sequence[StoredRun]) -> None:
    """Print a table for other programs, with all metrics and choices, and nothing cut."""
    rows = [{cell(name): cell(value) for name, value in full(run)} for run in runs]
    stream = sys.stdout if sys.stdout.isatty() else unescaped(sys.stdout)
    writer = csv.DictWriter(UnixLines(stream), list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)


def full(run: StoredRun) -> Iterator[tuple[str, Any]]:
    """Yield all that is known of a run, by column."""
    yield "run", run.name
    yield "path", str(run.folder)
    yield "started", run.started.isoformat(timespec="seconds")
    yield "status", run.status
    yield "typed", " ".join(run.overrides)
    yield from run.choices.items()
    objective = run.result.get("objective") or {}
    yield from (
        ("objective", objective.get("name")),
        ("best", objective.get("value")),
        ("epoch", objective.get("epoch")),
    )
    yield from ((name, run.result.get(name)) for name in ("epochs", "seconds", "parameters"))
    yield from run.metrics.items()
