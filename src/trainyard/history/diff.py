"""How two runs differ: scores, config, data, code, packages, hardware and curves."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainyard.history.scores import compare_scores
from trainyard.history.stored_run import StoredRun, as_dict, flatten
from trainyard.io.errors import ConfigError, join_limited
from trainyard.run.metrics_csv import read_curves
from trainyard.run.provenance import run_git

Lines = list[str] | None
PACKAGE = Path(__file__).parents[1]
CAUSES = ("config", "data", "code", "own code", "packages", "hardware")
NO_PROVENANCE = "a run's provenance.json is missing or invalid"
UNKNOWN = {
    "config": "a run's config.yaml is missing or invalid",
    "packages": NO_PROVENANCE,
    "hardware": NO_PROVENANCE,
    "data": "a run has no fingerprint of its data",
    "code": "neither run comes from a checkout",
    "curves": "a run has no metrics.csv",
}
COUNTS = ("examples", "classes", "least", "most")  # in a fingerprint; the rest are digests
FIRST = ("python", "trainyard", "torch", "torchvision", "lightning", "timm", "numpy", "torchmetrics")
HARDWARE = ("gpus", "threads", "instructions", "cores", "machine", "platform")  # by their effect on floating-point sums
SWEEP_GROUPS = ("hydra", "sweep")  # config groups that do not change a run
MAX_PACKAGES, MAX_FILES = 6, 3  # names in a line
ROUNDING = 1e-6  # a smaller gap between curves is ignored


@dataclass(frozen=True)
class CodeVersion:
    """A commit (hexadecimal, in full), a patch of tracked files, and the names of untracked files."""

    commit: str
    patch: str = ""
    untracked: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: StoredRun) -> "CodeVersion | None":
        """Return the code of a run; `None` if it was made outside of a checkout."""
        found = run.provenance.get("git")
        if not isinstance(found, dict) or not re.fullmatch(r"[0-9a-f]{40,64}", str(found.get("commit"))):
            return None  # also for text that git would parse as an option
        untracked = tuple(map(str, found.get("untracked") or ()))
        return cls(str(found["commit"]), str(found.get("uncommitted_patch") or ""), untracked)

    @property
    def short(self) -> str:
        """The abbreviated commit."""
        return self.commit[:10]

    @property
    def patch_summary(self) -> str:
        """Size and files of the patch, or `no patch`."""
        if not self.patch:
            return "no patch"
        size = f"a patch of {len(re.findall(r'^(?:[+](?![+][+] )|-(?!-- ))', self.patch, re.MULTILINE))} lines"
        try:
            numbers = run_git(Path(), "apply", "--numstat", "-", stdin=self.patch).splitlines()
        except ConfigError:
            return f"{size}, which git cannot read"
        return f"{size} in {list_files(line.split(chr(9), 2)[2] for line in numbers)}"


def diff(one: StoredRun, other: StoredRun) -> str:
    """Return a verdict on the scores, then what differs, the likely causes first; one line if nothing differs."""
    sections = {
        "config": compare_configs(one, other),
        "data": compare_data(one, other),
        "code": compare_code(one, other),
        **({"own code": compare_user_code(one, other)} if one.user_code or other.user_code else {}),
        "packages": compare_packages(one.provenance, other.provenance),
        "hardware": compare_hardware(one.provenance, other.provenance),
        "curves": compare_curves(one, other),
    }
    same = [name for name, lines in sections.items() if lines == []]
    unknown = [f"{name}: {UNKNOWN[name]}" for name, lines in sections.items() if lines is None]
    differ = {name: lines for name, lines in sections.items() if lines}
    if not differ and one.metrics and one.metrics == other.metrics:
        return "; ".join([f"{one.name} and {other.name} are the same: {', '.join(same)}, scores", *unknown])
    found = [*add_heading("A", [one.name]), *add_heading("B", [other.name]), compare_scores(one, other)]
    results_differ = one.metrics != other.metrics or "curves" in differ
    if one.metrics and other.metrics and "config" not in differ and results_differ:
        others = [name for name in CAUSES if name in differ]
        reason = f"other {' or '.join(others)}, or not deterministic" if others else "not deterministic"
        found.append(f"the same config and seed, but other results: {reason}")
    for name, lines in differ.items():
        found += add_heading(name, lines)
    found += add_heading("the same", [", ".join(same)] if same else [])
    return "\n".join([*found, *add_heading("unknown", unknown)])


def add_heading(name: str, lines: Sequence[str]) -> list[str]:
    """Return indented lines, with a name before the first."""
    return [f"{'' if number else name:<10} {line}" for number, line in enumerate(lines)]


def format_section(name: str, lines: Lines) -> str:
    """Return the text of changes, also of none and unknown ones."""
    return "\n".join(add_heading(name, ["unknown"] if lines is None else lines or ["the same"]))


def list_changes(left: Mapping[str, Any], right: Mapping[str, Any], keys: Iterable[str], sign: str = " ") -> list[str]:
    """Return a line for each key whose values differ."""
    pairs = {key: (left.get(key, "none"), right.get(key, "none")) for key in keys}
    return [f"{key}{sign}{format_value(old)} -> {format_value(new)}" for key, (old, new) in pairs.items() if old != new]


def compare_configs(one: StoredRun, other: StoredRun) -> Lines:
    """Return a line for each option and each key that differs; `None` without a config.

    The keys of a group whose option differs are left out unless they are overridden.
    """
    if not one.run_config or not other.run_config:
        return None
    options = list_changes(one.choices, other.choices, sorted({*one.choices, *other.choices} - {*SWEEP_GROUPS}), "=")
    groups = {line.partition("=")[0] for line in options}
    overridden = {word.lstrip("+~").partition("=")[0] for run in (one, other) for word in run.overrides}
    left, right = relevant_values(one), relevant_values(other)
    keys = sorted({*left, *right}, key=lambda key: ("." in key, key))
    compared = (key for key in keys if key in overridden or key.split(".")[0] not in groups)
    return [*options, *list_changes(left, right, compared, "=")]


def relevant_values(run: StoredRun) -> dict[str, object]:
    """Return the config values that results may depend on, by dotted key."""
    config = {key: part for key, part in run.config_moved_to("RUN").items() if key not in ("run", *SWEEP_GROUPS)}
    return {**dict(flatten(config)), "sweep.pruner": as_dict(run.section("sweep")).get("pruner", "none")}


def format_value(value: object) -> str:
    """Return a value as in an override."""
    if isinstance(value, list):
        return f"[{','.join(map(format_value, value))}]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def compare_data(one: StoredRun, other: StoredRun) -> Lines:
    """Return a line for each split that differs; `None` if a run has no fingerprint."""
    if one.fingerprint is None or other.fingerprint is None:
        return None
    lines = []
    for split in dict.fromkeys((*one.fingerprint, *other.fingerprint)):
        left, right = one.fingerprint.get(split, {}), other.fingerprint.get(split, {})
        digests = [name for name in {**left, **right} if name not in COUNTS and left.get(name) != right.get(name)]
        if changed := [*list_changes(left, right, COUNTS), *(f"other {name}" for name in digests)]:
            lines.append(f"{split}: {', '.join(changed)}")
    return lines


def compare_code(one: StoredRun, other: StoredRun, package: Path = PACKAGE) -> Lines:
    """Return a line for commits, patches and untracked files that differ; `None` if neither run has a commit.

    `package` is a folder in the repository that has the commits.
    """
    left, right = CodeVersion.of(one), CodeVersion.of(other)
    if left is None and right is None:
        return None
    if left is None or right is None:
        return [" -> ".join(f"commit {code.short}" if code else "an installed package" for code in (left, right))]
    lines = []
    if left.commit != right.commit:
        line = f"commit {left.short} -> {right.short}"
        try:
            counts = run_git(package, "rev-list", "--left-right", "--count", f"{left.commit}...{right.commit}", "--")
            files = run_git(package, "diff", "--name-only", left.commit, right.commit, "--").splitlines()
        except ConfigError:
            lines.append(f"{line}, not both of which are in this repository")
        else:
            removed, added = counts.split()
            lines += [f"{line} ({added} commits more, {removed} less)", f"changed files: {list_files(files) or 'none'}"]
    if left.patch != right.patch:
        lines.append(f"{left.patch_summary} -> {right.patch_summary}")
    if untracked := {*left.untracked} ^ {*right.untracked}:
        lines.append(f"untracked files of one run: {list_files(untracked)}")
    return lines


def compare_user_code(one: StoredRun, other: StoredRun) -> Lines:
    """Return a line for each of the user's packages that both runs use, and whose code differs."""
    lines = []
    for name in one.user_code.keys() & other.user_code.keys():
        left, right = one.user_code[name], other.user_code[name]
        if left["digest"] != right["digest"]:
            lines.append(f"{name}: other files ({describe_user_code(left)} -> {describe_user_code(right)})")
    return sorted(lines)


def describe_user_code(state: Mapping[str, Any]) -> str:
    """Return the commit of a user's package, and whether it had uncommitted changes."""
    where = f"commit {str(state['commit'])[:10]}" if state.get("commit") else "in no repository"
    return f"{where}, with uncommitted changes" if state.get("uncommitted") else where


def list_files(files: Iterable[str]) -> str:
    """Return the names of the first files, those of the package and its configs before others."""
    names = sorted(files, key=lambda name: (not name.startswith(("conf/", "src/")), name))
    return join_limited(names, MAX_FILES)


def compare_packages(one: Mapping[str, Any], other: Mapping[str, Any]) -> Lines:
    """Return a line for each important package that differs in two `provenance.json`, and one for all others."""
    if not one["packages"] or not other["packages"]:
        return None
    left, right = ({"python": run.get("python"), **run["packages"]} for run in (one, other))
    rest = [name for name in sorted({*left, *right}) if name not in FIRST and left.get(name) != right.get(name)]
    others = [f"{len(rest)} others: {join_limited(rest, MAX_PACKAGES)}"] if rest else []
    return list_changes(left, right, FIRST) + others


def compare_hardware(one: Mapping[str, Any], other: Mapping[str, Any]) -> Lines:
    """Return a line for each property of the machine that differs in two `provenance.json`, if both have it."""
    left, right = one["hardware"], other["hardware"]
    if not left or not right:
        return None
    return list_changes(left, right, (name for name in HARDWARE if name in left and name in right))


def compare_curves(one: StoredRun, other: StoredRun) -> Lines:
    """Return a line for the best epochs and for each curve that differs; `None` without a metrics.csv.

    Learning rates follow from the config, and a test has no curve.
    """
    left, right = (read_curves(run.folder, by="epoch") for run in (one, other))
    if not left or not right:
        return None
    bests = [f"{run.result['objective']['epoch']} of {run.result['epochs']}" for run in (one, other) if run.metrics]
    lines = [f"best epoch {' -> '.join(bests)}"] if len({*bests}) == 2 else []
    names = [name for name in sorted({*left} & {*right}) if not name.startswith(("lr/", "test/"))]
    for name in sorted(names, key=lambda name: not name.startswith("val/")):
        lines += compare_curve(name, left[name], right[name])
    return lines


def compare_curve(name: str, left: Mapping[int, float], right: Mapping[int, float]) -> list[str]:
    """Return a line about two curves, value by epoch, if they differ."""
    gaps = {epoch: abs(left[epoch] - right[epoch]) for epoch in sorted({*left} & {*right})}
    apart = [epoch for epoch, gap in gaps.items() if not gap <= ROUNDING]  # also if a value is NaN
    ends = f"{name} {left[max(left)]:.4f} -> {right[max(right)]:.4f} at the end"
    if apart:
        largest = max(apart, key=lambda epoch: gaps[epoch])
        first = f"first differs at epoch {apart[0] + 1} (by {gaps[apart[0]]:.2g})"
        return [f"{ends}, {first}, most at epoch {largest + 1} (by {gaps[largest]:.4f})"]
    if gaps and {*left} != {*right}:
        return [f"{ends}, the same until epoch {max(gaps) + 1}"]
    return []
