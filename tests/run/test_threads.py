"""The number of threads: chosen by the work of a step, kept by a resumed run, and never against the user's setting."""

import json
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Compose
from tests.run.interrupted_runs import Stop, run
from trainyard.data.loading.forward_cost import ForwardCost, forward_cost
from trainyard.io import resources
from trainyard.io.resources import available_cores
from trainyard.run import threads
from trainyard.run.threads import FLOPS_PER_THREAD, chosen_threads, read_threads, use_threads
from trainyard.run.training import train

TRAINER = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")), num_devices=1)


class Net(L.LightningModule):
    """One layer, dropout and a BatchNorm whose statistics a forward pass in training changes."""

    def __init__(self, width: int, example: object = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(width), nn.Dropout(0.5), nn.Linear(width, 8))
        self.layers[1].eval()
        self.example_input_array = example

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with eight cores, of which torch uses all, and no setting of the user."""
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "available_cores", lambda: 8)
    monkeypatch.setattr(threads, "DEFAULT", torch.get_num_threads())


def count(model: L.LightningModule, batch_size: int | None, processes: int = 1, resumed: Path | None = None) -> int:
    """Return the number of threads that is chosen."""
    data = L.LightningDataModule()
    data.batch_size = batch_size  # type: ignore[attr-defined]
    trainer: object = SimpleNamespace(strategy=TRAINER.strategy, num_devices=processes)
    before = torch.get_num_threads()
    with chosen_threads(trainer, model, data, resumed):  # type: ignore[arg-type]
        chosen = torch.get_num_threads()
    assert torch.get_num_threads() == before
    return chosen


def test_the_flops_of_an_example_are_counted_without_changing_the_model() -> None:
    net = Net(100, torch.ones(5, 100))
    state, random = {name: value.clone() for name, value in net.state_dict().items()}, torch.get_rng_state()
    assert forward_cost(net) == ForwardCost((100,), 2 * 100 * 8, 2 * 100)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in net.layers] == [True, False, True]


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (1.5, 1), (3.5, 3), (1000, 8)])
def test_the_number_grows_with_the_work_up_to_the_cores(share: float, expected: int) -> None:
    batch = round(share * FLOPS_PER_THREAD / (3 * 2 * 100 * 8))
    assert count(Net(100, torch.ones(5, 100)), batch) == expected


def test_processes_on_one_machine_divide_the_cores() -> None:
    assert count(Net(100, torch.ones(5, 100)), 10**9, processes=4) == 2


@pytest.mark.parametrize("example", [None, "text", torch.ones(2, 3)], ids=str)
def test_unknown_work_uses_all_cores(example: object) -> None:
    assert count(Net(100, example), 64) == 8
    assert count(Net(100, torch.ones(5, 100)), None) == 8


def test_a_container_with_one_core_gets_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(threads, "DEFAULT", 2)
    monkeypatch.setattr(threads, "available_cores", lambda: 1)
    try:
        assert count(Net(100, torch.ones(5, 100)), 10**9) == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", threads.VARIABLES)
def test_a_number_in_the_environment_is_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "3")
    assert count(Net(100, torch.ones(5, 100)), 1) == torch.get_num_threads()


def test_a_number_set_in_python_is_kept() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        assert count(Net(100, torch.ones(5, 100)), 1) == 5
    finally:
        torch.set_num_threads(before)


def test_evaluation_uses_the_number_of_the_run_up_to_the_cores() -> None:
    for stored, expected in ((6, 6), (64, 8), (0, torch.get_num_threads())):
        with use_threads(stored):
            assert torch.get_num_threads() == expected


def test_a_resumed_run_uses_as_many_threads_as_before(
    compose_run: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("model.hidden_dims=[64]", "data.batch_size=256", "accelerator=cpu")
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 3_000_000)
    run(compose_run, *options, folder="parts", stop=("train", 0, 2))
    folder, used = tmp_path / "parts", []
    assert read_threads(folder) == 2
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 1)  # as if another version would choose more
    monkeypatch.setattr(Stop, "on_train_batch_end", lambda *args: used.append(torch.get_num_threads()))
    run(compose_run, *options, folder="parts")
    assert set(used) == {2}
    assert read_threads(folder) == 2
    assert "threads    2 of 8 cores: as before" in (folder / "run.log").read_text()


def test_the_choice_is_logged_and_recorded(compose_run: Compose, tmp_path: Path) -> None:
    train(compose_run("data=penguins", "model.hidden_dims=[4]", "trainer.max_epochs=1", "accelerator=cpu"))
    folder = tmp_path / "run"
    assert "threads    1 of 8 cores: a step takes 0.0 MFLOP" in (folder / "run.log").read_text()
    assert json.loads((folder / "provenance.json").read_text())["hardware"]["threads"] == 1


@pytest.mark.parametrize(
    ("files", "share", "expected"),
    [
        ({}, "", 6),
        ({"cpu.max": "max 100000"}, "", 6),
        ({"cpu.max": "250000 100000"}, "", 2),
        ({"cpu.max": "50000 100000"}, "", 1),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, "", 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "", 6),
        ({"cpu.max": "250000 100000"}, "1", 1),
    ],
    ids=str,
)
def test_cores_are_limited_by_affinity_container_and_sweep(
    files: dict[str, str], share: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(6)), raising=False)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path)
    monkeypatch.setenv(resources.CORES, share)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert available_cores() == expected
