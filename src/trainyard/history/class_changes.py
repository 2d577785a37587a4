"""Which classes two runs tell apart better or worse."""

from trainyard.history.saved_predictions import read_predictions
from trainyard.stored.run import StoredRun

SHOWN = 8  # classes


def class_changes(one: StoredRun, other: StoredRun) -> list[str] | None:
    """Return a line for each class whose accuracy on validation differs, the largest change first.

    `None` where a run has not kept its predictions.
    """
    kept = [read_predictions(run.folder) for run in (one, other)]
    if kept[0] is None or kept[1] is None:
        return None
    ours, theirs = kept[0].by_class(), kept[1].by_class()
    rows = []
    for name in sorted({*ours} & {*theirs}):
        (right, total), (later, count) = ours[name], theirs[name]
        change = later / count - right / total
        if change:
            line = f"{name}: {right / total:.4f} -> {later / count:.4f} ({change:+.4f}, {count} examples)"
            rows.append((change, line))
    lines = [line for _, line in sorted(rows, key=lambda row: -abs(row[0]))]
    rest = [f"{len(lines) - SHOWN} more, each by less"] if len(lines) > SHOWN else []
    alone = sorted({*ours} ^ {*theirs})
    return [*lines[:SHOWN], *rest, *([f"classes of one run alone: {', '.join(alone[:SHOWN])}"] if alone else [])]
