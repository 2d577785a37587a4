"""A sweep on a Ray cluster of three nodes on this machine, one of which is killed: `make test-ray`."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sweeps.sweeping import EAGER, Place, kill, table, until

pytestmark = pytest.mark.ray
CONFIGURATIONS = int(os.environ.get("TRAINYARD_RAY_JOBS", "200")) // 2
JOBS = 2 * CONFIGURATIONS
WORDS = (
    "sweep.name=cluster",
    "sweep=tpe",
    f"sweep.trials={CONFIGURATIONS}",
    "sweep.batch=12",
    "sweep.pruner=median",
    "optimizer.lr=tag(log,interval(1e-4,1e-1))",
    "seed=0,1",
    "trainer.max_epochs=4",
    *EAGER,
    "hydra/launcher=ray",
)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A Ray cluster of three nodes with one CPU each, the first of them its head."""
    utilities = pytest.importorskip("ray.cluster_utils")
    own = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(2):
        own.add_node(num_cpus=1)
    yield own
    own.shutdown()


def finished(place: Place) -> dict[int, tuple[str, int]]:
    """Return content and time of the result of each job that is completed or pruned."""
    found = {}
    for number, status in enumerate(place.statuses("cluster", JOBS)):
        if status in ("completed", "pruned"):
            file = place.of("cluster") / str(number) / "result.json"
            found[number] = (file.read_text(), file.stat().st_mtime_ns)
    return found


def log(place: Place, number: int) -> str:
    """Return the log of all attempts at a job."""
    return Path(place.of("cluster") / str(number) / "run.log").read_text()


def test_no_finished_job_is_lost_or_repeated_after_a_node_and_the_sweep_are_killed(place: Place, cluster: Any) -> None:
    words = (*WORDS, f"hydra.launcher.address={cluster.address}")
    first = place.start(*words, slots=None)
    until(lambda: len(finished(place)) >= JOBS // 5 or first.poll() is not None, 1200.0)
    before_node = finished(place)
    cluster.remove_node(sorted(cluster.worker_nodes, key=str)[0], allow_graceful=False)
    until(lambda: len(finished(place)) >= JOBS // 2 or first.poll() is not None, 1200.0)
    assert first.poll() is None, first.communicate()
    kill(first)
    before_driver = finished(place)
    assert before_node.items() <= before_driver.items(), "the loss of a node changes no result"
    second = place.start(*words, slots=None)
    output, errors = second.communicate(timeout=1800)
    assert second.returncode == 0, output + errors
    after = finished(place)
    assert before_driver.items() <= after.items(), "the second command repeats no finished job"
    assert sorted(after) == list(range(JOBS))
    to_do = int(re.search(rf"{JOBS} jobs, (\d+) to do", output)[1])  # type: ignore[index]
    assert to_do <= JOBS - len(before_driver)
    check_journal(place, after)
    rows = table(place.of("cluster") / "leaderboard.csv")
    assert len(rows) == CONFIGURATIONS
    assert {row["status"] for row in rows} <= {"completed", "pruned", "1 completed, 1 pruned"}
    statuses = Counter(place.statuses("cluster", JOBS))
    assert statuses["pruned"] >= 1
    resumed = [number for number in after if "resuming from" in log(place, number)]
    print(f"{JOBS} jobs: {dict(statuses)}; before the node was killed {len(before_node)}, before the sweep was killed ")
    print(f"{len(before_driver)}; {to_do} run by the second command, of which {len(resumed)} resumed")


def check_journal(place: Place, results: dict[int, Any]) -> None:
    """Assert that the journal has one trial for each job, in the state of its result."""
    attempts = place.attempts("cluster")
    assert sorted(number for number, _ in attempts) == sorted(results)
    assert dict(attempts) == dict(enumerate(place.statuses("cluster", JOBS)))
