"""Composed optimizers take the same steps as those of torch and timm, and decay only weights."""

import pytest
import timm.optim
import torch
from torch import nn

from tests.conftest import Compose
from trainyard.config.composition import instantiate, load_options
from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes
from trainyard.io.errors import ConfigError
from trainyard.models.mlp import MLP
from trainyard.optim.optimizers import check_optimizer, timm_optimizer, weight_decay_groups

ORACLES = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.001),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.001, weight_decay=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.001),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=1.0),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.001),
    "muon": lambda p: timm.optim.Muon(p, lr=0.003, nesterov=True),
    "lion": lambda p: timm.optim.Lion(p, lr=0.0003, betas=(0.9, 0.99)),
    "timm": lambda p: timm.optim.Lamb(p, lr=0.005, weight_decay=0.0),
}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))


def trained(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3) -> torch.Tensor:
    x, y = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(16) % 3
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return nn.utils.parameters_to_vector(net.parameters())


def test_there_is_an_oracle_for_every_option() -> None:
    assert set(ORACLES) == set(load_options("optimizer"))


@pytest.mark.parametrize("option", ORACLES)
def test_steps_equal_those_of_the_oracle(compose_run: Compose, option: str) -> None:
    ours, theirs = network(), network()
    make = instantiate(compose_run(f"optimizer={option}").optimizer)
    weights = [p for p in theirs.parameters() if p.ndim > 1]
    rest = [p for p in theirs.parameters() if p.ndim < 2]
    groups = [{"params": weights}, {"params": rest, "weight_decay": 0.0}]
    after = trained(ours, make(weight_decay_groups(ours.named_parameters())))
    assert torch.allclose(after, trained(theirs, ORACLES[option](groups)), atol=1e-6)
    assert not torch.equal(after, nn.utils.parameters_to_vector(network().parameters()))


def test_biases_and_norms_have_no_weight_decay() -> None:
    net = network()
    groups = weight_decay_groups(net.named_parameters())
    optimizer = torch.optim.SGD(groups, lr=0.1, weight_decay=0.5)
    before = [p.detach().clone() for p in net.parameters()]
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for parameter, old in zip(net.parameters(), before, strict=True):
        assert torch.allclose(parameter, old * 0.95 if parameter.ndim > 1 else old)


def test_patterns_exclude_further_parameters() -> None:
    names = dict(network().named_parameters())
    groups = weight_decay_groups(names.items(), "net_", no_decay={"3.*"})
    assert [group["name"] for group in groups] == ["net_weights", "net_biases_and_norms"]
    assert [len(group["params"]) for group in groups] == [1, 4]
    assert groups[0]["params"] == [names["0.weight"]]


def test_a_group_without_parameters_is_left_out() -> None:
    [group] = weight_decay_groups([("bias", nn.Parameter(torch.zeros(3)))])
    assert group["name"] == "biases_and_norms"


def test_frozen_parameters_are_in_no_group_of_a_model() -> None:
    model = MLP(
        DataSpec((4,), Classes(("a", "b", "c")), tuple(map(Column, "wxyz")), (0.0,) * 4, (1.0,) * 4), hidden_dims=[5]
    )
    model.net[1].requires_grad_(False)
    groups = model.parameter_groups(total_steps=10, epoch_steps=5)
    assert sum(p.numel() for group in groups for p in group["params"]) == 5 * 3 + 3


def test_unknown_timm_optimizer_is_rejected() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.opt=lambb: timm has no such optimizer; did you mean lamb"):
        timm_optimizer(network().parameters(), "lambb", lr=0.1)


def test_unknown_argument_of_a_timm_optimizer_is_rejected(compose_run: Compose) -> None:
    with pytest.raises(ConfigError, match=r"^optimizer: .* unexpected keyword argument 'x'"):
        check_optimizer(compose_run("optimizer=timm", "optimizer.opt=sgd", "+optimizer.x=1"))
