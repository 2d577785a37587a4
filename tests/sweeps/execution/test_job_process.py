"""A job of a sweep gives the result of a single run, with several processes too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.sweeps.sweeping import REPOSITORY, TINY, Place, living, scores, until

WORDS = ("trainer.max_epochs=3", "augment=none", "logger=both")


def alone(place: Place, folder: Path, *words: str) -> None:
    """Run one config with the threads of one of two slots."""
    threads = str(max(1, len(os.sched_getaffinity(0)) // 2))
    command = [sys.executable, "-m", "trainyard", *TINY, *WORDS, *words, f"hydra.run.dir={folder}"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": threads}
    subprocess.run(command, cwd=place.folder, env=environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The folder of a sweep with four jobs."""
    place = Place(tmp_path_factory.mktemp("swept"))
    place.sweep("sweep.name=four", *WORDS, "optimizer=sgd,adam", "model.dropout=0.0,0.3", "seed=6")
    return place


def test_a_job_gives_bitwise_the_result_of_its_single_run(swept: Place) -> None:
    job, run = swept.of("four") / "3", swept.folder / "alone"
    alone(swept, run, "optimizer=adam", "model.dropout=0.3", "seed=6")
    assert scores(job) == scores(run)
    assert (job / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()
    one, other = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for folder in (job, run)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_tensorboard_has_the_hyperparameters_and_scores_of_each_job(swept: Place) -> None:
    for number, optimizer in enumerate(("sgd", "sgd", "adam", "adam")):
        events = EventAccumulator(str(swept.of("four") / str(number) / "tensorboard"))
        events.Reload()
        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        started = HParamsPluginData.FromString(content).session_start_info.hparams
        assert started["optimizer"].string_value == optimizer
        [event] = events.Scalars("result/val_acc")
        assert abs(event.value - swept.result("four", number)["objective"]["value"]) < 1e-6


RECORD = "+callbacks.record._target_=tests.sweeps.faults.RecordProcess"
DDP = ("accelerator=ddp", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.devices=2")


DDP_CPU = pytest.param(("accelerator=ddp_cpu",), id="ddp_cpu", marks=pytest.mark.slow)


@pytest.mark.parametrize("words", [DDP_CPU, pytest.param(DDP, id="ddp", marks=pytest.mark.slow)])
def test_processes_of_a_distributed_job_start_no_sweep(place: Place, words: tuple[str, ...]) -> None:
    process = place.start("sweep.name=ranks", *words, RECORD, "seed=0,1", slots=1)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, output + errors
    if Path("/proc").exists():
        until(lambda: not living(process.pid))
    assert place.statuses("ranks", 3) == ["completed", "completed", "waiting"]
    assert sorted(place.attempts("ranks")) == [(0, "completed"), (1, "completed")]
    assert sorted(path.name for path in (place.folder / "outputs").iterdir()) == ["latest", "sweeps"]
    assert [path.name for path in (place.folder / "outputs" / "sweeps").iterdir()] == ["ranks"]
    for number in (0, 1):
        log = (place.of("ranks") / str(number) / "run.log").read_text()
        assert "1 epoch on cpu x 2" in log
        assert log.count("epoch 1/1") == 1, "only rank 0 writes the log"
        share = max(1, len(os.sched_getaffinity(0)) // 2)
        assert f"threads={share}\n" in (place.of("ranks") / str(number) / "process.txt").read_text()
