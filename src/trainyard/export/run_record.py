"""What a run tells of the model that it trained, for its card; the run may be a stranger's, or damaged."""

from typing import Any

from trainyard.evaluation.interval import accuracy_interval
from trainyard.evaluation.markdown import markdown_table
from trainyard.export.markdown_text import literal
from trainyard.history.stored_run import StoredRun

MOST = 10**9  # examples of which a test is believed to consist


def data(run: StoredRun | None) -> str:
    """Return what it was trained on, as far as the run tells."""
    if run is None:
        return "Unknown: the checkpoint lies in no run."
    name = literal(run.choices.get("data", "unknown"))
    rows = [
        [literal(split), literal(part.get("examples")), literal(f"{part.get('least')} to {part.get('most')}")]
        for split, part in splits(run).items()
    ]
    return f"{name}\n\n{markdown_table(['split', 'examples', 'examples a class'], rows)}" if rows else name


def scores(run: StoredRun | None) -> str:
    """Return the scores of the run, and how sure its test accuracy is."""
    if run is None or not run.metrics:
        return "Unknown."
    lines = [f"- {literal(name)} {value:.4f}" for name, value in run.metrics.items()]
    examples = splits(run).get("test", {}).get("examples")
    accuracy = run.metrics.get("test/acc", -1.0)
    if isinstance(examples, int) and 0 < examples < MOST and 0 <= accuracy <= 1:
        low, high = accuracy_interval(round(accuracy * examples), examples)
        lines.append(f"- test/acc lies in [{low:.4f}, {high:.4f}] with 95 % (bootstrap, {examples} examples)")
    return "\n".join(lines)


def training(run: StoredRun | None) -> str:
    """Return how it came about."""
    if run is None:
        return "Unknown."
    git = run.provenance.get("git")
    code = git if isinstance(git, dict) else {}
    changed = " with uncommitted changes" if code.get("uncommitted_patch") else ""
    told = {
        "typed": " ".join(run.overrides) or "nothing",
        "chosen": ", ".join(f"{group}={option}" for group, option in run.choices.items()),
        "commit": f"{code.get('commit', 'unknown')}{changed}",
        "torch": run.provenance["packages"].get("torch", "unknown"),
        "started": run.provenance.get("started", "unknown"),
    }
    return "\n".join(f"- {name}: {literal(text)}" for name, text in told.items())


def splits(run: StoredRun) -> dict[str, dict[str, Any]]:
    """Return what is known of each split."""
    return {name: part for name, part in (run.fingerprint or {}).items() if isinstance(part, dict)}
