"""A job of a sweep is the run that its config is on its own."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.sweeps.sweeping import REPOSITORY, TINY, Place, scores

WORDS = ("trainer.max_epochs=3", "augment=none", "logger=both")


def alone(place: Place, folder: Path, *words: str) -> None:
    """Run one config with as many threads as a job of two has."""
    threads = str(max(1, len(os.sched_getaffinity(0)) // 2))
    command = [sys.executable, "-m", "trainyard", *TINY, *WORDS, *words, f"hydra.run.dir={folder}"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": threads}
    subprocess.run(command, cwd=place.folder, env=environment, check=True, capture_output=True)


def test_a_job_gives_what_its_config_gives_alone_to_the_last_bit(place: Place) -> None:
    place.sweep("sweep.name=two", *WORDS, "model.dropout=0.0,0.3", "seed=5,6")
    job, run = place.of("two") / "3", place.folder / "alone"
    alone(place, run, "model.dropout=0.3", "seed=6")
    assert scores(job) == scores(run)
    assert (job / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()
    one, other = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for folder in (job, run)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_tensorboard_has_a_session_a_job_with_its_scores(place: Place) -> None:
    place.sweep("sweep.name=seen", *WORDS, "optimizer=sgd,adam")
    for number, optimizer in enumerate(("sgd", "adam")):
        events = EventAccumulator(str(place.of("seen") / str(number) / "tensorboard"))
        events.Reload()
        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        started = HParamsPluginData.FromString(content).session_start_info.hparams
        assert started["optimizer"].string_value == optimizer
        [event] = events.Scalars("result/val_acc")
        assert abs(event.value - place.result("seen", number)["objective"]["value"]) < 1e-6
