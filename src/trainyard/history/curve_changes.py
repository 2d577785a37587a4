"""Where the curves of two runs part."""

from trainyard.history.run_curves import read_curves
from trainyard.stored.run import StoredRun

ROUNDING = 1e-6  # a smaller gap is no parting


def curve_changes(one: StoredRun, other: StoredRun) -> list[str] | None:
    """Return a line for the best epochs and for each curve that parts; `None` where a run has no table.

    Rates follow from the config, and the test is no curve.
    """
    ours, theirs = (read_curves(run.folder, by="epoch") for run in (one, other))
    if not ours or not theirs:
        return None
    lines = []
    bests = [f"{run.result['objective']['epoch']} of {run.result['epochs']}" for run in (one, other) if run.metrics]
    if len(bests) == 2 and bests[0] != bests[1]:
        lines.append(f"best epoch {bests[0]} -> {bests[1]}")
    names = sorted(name for name in {*ours} & {*theirs} if not name.startswith(("lr/", "test/")))
    for name in sorted(names, key=lambda name: not name.startswith("val/")):
        lines += parting(name, ours[name], theirs[name])
    return lines


def parting(name: str, one: dict[int, float], other: dict[int, float]) -> list[str]:
    """Return where two curves part first, where they are farthest apart, and how they end; nothing if they are one."""
    gaps = {epoch: abs(one[epoch] - other[epoch]) for epoch in sorted({*one} & {*other})}
    apart = [epoch for epoch, gap in gaps.items() if not gap <= ROUNDING]
    last = f"{one[max(one)]:.4f} -> {other[max(other)]:.4f} at the end"
    if apart:
        first, farthest = apart[0], max(apart, key=lambda epoch: gaps[epoch])
        parts = f"parts at epoch {first + 1} (by {gaps[first]:.2g})"
        return [f"{name} {last}, {parts}, farthest {gaps[farthest]:.4f} at epoch {farthest + 1}"]
    return [f"{name} {last}, the same until epoch {max(gaps) + 1}"] if gaps and {*one} != {*other} else []
