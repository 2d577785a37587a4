"""Parameter groups of a real backbone: start, rate and weight decay, with timm as the oracle."""

from typing import Any

import pytest
from timm.optim import param_groups_layer_decay
from torch import nn

from trainyard.models.backbone import create_backbone, layer_numbers
from trainyard.optim.finetune import Finetune

LAYERS = {"test_resnet": 5, "test_vit": 7}


def groups_of(plan: Finetune, name: str, total_steps: int = 200, epoch_steps: int = 10) -> tuple[Any, nn.Module, Any]:
    backbone = create_backbone(name)
    head = nn.Linear(backbone.head_hidden_size, 3)
    spared = getattr(backbone, "no_weight_decay", set)()
    return head, backbone, plan.groups(head, backbone, layer_numbers(backbone), total_steps, epoch_steps, spared)


def timings(plan: Finetune, **steps: int) -> dict[str, dict[str, Any]]:
    return {group["name"]: group["timing"] for group in groups_of(plan, "test_resnet", **steps)[2]}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("unfreeze", [[0], [0.5], [0.25, 0.5, 0.75], [0, 1, 2, 3, 4, 5, 6, 7, 8]])
@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_every_parameter_is_in_one_group(name: str, unfreeze: list[float], layer_decay: float) -> None:
    head, backbone, groups = groups_of(Finetune(unfreeze, layer_decay), name)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(parameter) for net in (head, backbone) for parameter in net.parameters()}
    assert len({group["name"] for group in groups}) == len(groups), "each has a curve of its own"


def test_a_frozen_backbone_is_in_no_group() -> None:
    head, _, groups = groups_of(Finetune(), "test_resnet")
    assert [group["params"] for group in groups] == [[head.weight], [head.bias]]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_those_of_timm(name: str) -> None:
    assert set(layer_numbers(create_backbone(name)).values()) == set(range(LAYERS[name]))


@pytest.mark.parametrize(
    ("layers", "parts", "expected"),
    [
        (5, 1, [0, 0, 0, 0, 0]),
        (5, 3, [2, 1, 1, 0, 0]),
        (5, 5, [4, 3, 2, 1, 0]),
        (7, 3, [2, 2, 1, 1, 0, 0, 0]),
        (2, 4, [2, 0]),  # more parts than layers
    ],
)
def test_layers_are_divided_evenly_from_the_head_down(layers: int, parts: int, expected: list[int]) -> None:
    assert [Finetune([0.5] * parts).part(layer, layers) for layer in range(layers)] == expected


def test_layers_trained_from_the_start() -> None:
    assert [Finetune([0, 0.5]).trained_from_start(layer, 5) for layer in range(5)] == [False, False, True, True, True]
    assert not any(Finetune().trained_from_start(layer, 5) for layer in range(5))


def test_rates_fall_towards_the_input() -> None:
    _, _, groups = groups_of(Finetune([0], layer_decay=0.5, head_lr_factor=10.0), "test_resnet")
    factors = {"head": 10, "layer_4": 0.5, "layer_3": 0.25, "layer_2": 0.125, "layer_1": 0.0625, "layer_0": 0.03125}
    kinds = ("weights", "biases_and_norms")
    assert {group["name"]: group["lr_factor"] for group in groups} == {
        f"{band}_{kind}": factor for band, factor in factors.items() for kind in kinds
    }


def test_layers_with_equal_part_and_rate_share_a_group() -> None:
    assert Finetune([0.25, 0.5, 0.75]).split_layers(5) == [(0, 1.0, [3, 4]), (1, 1.0, [1, 2]), (2, 1.0, [0])]
    names = [group["name"] for group in groups_of(Finetune([0.25, 0.5, 0.75]), "test_resnet")[2]]
    assert names[::2] == ["head_weights", "layers_3-4_weights", "layers_1-2_weights", "layer_0_weights"]


def test_biases_norms_and_timm_exclusions_have_no_decay() -> None:
    head, backbone, groups = groups_of(Finetune([0]), "test_vit")
    spared = {id(p) for group in groups if group.get("weight_decay") == 0.0 for p in group["params"]}
    names = {"head.bias"} | {name for name, p in backbone.named_parameters() if p.ndim < 2}
    assert {"pos_embed", "cls_token"} & names == set()
    own = [*backbone.named_parameters(), *((f"head.{name}", p) for name, p in head.named_parameters())]
    assert {name for name, p in own if id(p) in spared} == names | {"pos_embed", "cls_token"}
    assert all("weight_decay" not in group for group in groups if group["name"].endswith("_weights"))


def test_fractions_of_the_run_and_whole_epochs() -> None:
    starts = {
        name: timing["start_step"] for name, timing in timings(Finetune([0.1, 3, 0.5])).items() if "weights" in name
    }
    assert starts == {"head_weights": 0, "layers_3-4_weights": 20, "layers_1-2_weights": 30, "layer_0_weights": 100}
    last = timings(Finetune([1.0]), total_steps=12, epoch_steps=4)["layers_0-4_weights"]
    assert last["start_step"] == 4, "1.0 is an epoch, not the end of the run"


def test_parts_unfrozen_later_warm_up() -> None:
    warmups = {
        name: timing.get("warmup_steps", 0) for name, timing in timings(Finetune([0, 0.5], warmup_fraction=0.1)).items()
    }
    assert {name: steps for name, steps in warmups.items() if "weights" in name} == {
        "head_weights": 0, "layers_2-4_weights": 0, "layers_0-1_weights": 20
    }  # fmt: skip


@pytest.mark.parametrize(
    ("unfreeze", "factor", "restarts"),
    [
        ([0.25, 0.5], None, []),
        ([0.25, 0.5], 0.5, [50, 100]),
        ([0, 0.5], 0.5, [100]),
        ([0.25, 0.25], 0.5, [50]),  # two parts at once are one start
    ],
)
def test_schedule_restarts_when_a_part_is_unfrozen(
    unfreeze: list[float], factor: float | None, restarts: list[int]
) -> None:
    for timing in timings(Finetune(unfreeze, restart_lr_factor=factor)).values():
        assert timing["restarts"] == restarts
        assert timing["restart_lr_factor"] == (factor or 1.0)


@pytest.mark.parametrize(
    ("name", "ours_to_timms"),
    [
        ("test_resnet", 1.0),
        ("test_vit", 1.0),
        ("xcit_nano_12_p16_224", 1.0),
        # timm counts the classifier as the last layer; here the norm before it shares that, in the others nothing does.
        ("test_convnext", 0.5),
    ],
)
def test_rates_and_decay_equal_those_of_timm(name: str, ours_to_timms: float) -> None:
    _, backbone, groups = groups_of(Finetune([0], layer_decay=0.5), name)
    backbone.reset_classifier(3)
    spared = getattr(backbone, "no_weight_decay", set)()
    oracle = param_groups_layer_decay(backbone, 0.05, layer_decay=0.5, no_weight_decay_list=spared)
    theirs = {id(p): (group["lr_scale"], group["weight_decay"]) for group in oracle for p in group["params"]}
    ours = {id(p): (group["lr_factor"], group.get("weight_decay", 0.05)) for group in groups for p in group["params"]}
    shared = [name for name, p in backbone.named_parameters() if id(p) in ours]
    assert len(shared) == len(theirs) - 2, "all but the classifier's weight and bias"
    for parameter in (backbone.get_parameter(name) for name in shared):
        rate, decay = theirs[id(parameter)]
        assert ours[id(parameter)] == (pytest.approx(ours_to_timms * rate), decay)
