"""Checks of arguments: rules for the project's own classes, none for a user's."""

import pytest
from omegaconf import OmegaConf

from trainyard.config.arguments import check_arguments, check_ranges
from trainyard.io.errors import ConfigError

USER_VALUES = (
    *("gamma: 2.0", "alpha: 2", "channels: 3", "hidden_dims: 128", "kernel_size: 4", "dropout: null", "blocks: [2, 2]"),
    *("momentum: 1.5", "flip: 3", "lr: {encoder: 0.1}", "weights: null", "image_size: -1", "activation: 3"),
)


@pytest.mark.parametrize("value", USER_VALUES)
def test_rules_do_not_apply_to_objects_of_a_user(value: str) -> None:
    for target, group in (("my_project.Net", "model"), ("my_project.Data", "data")):
        check_ranges(OmegaConf.create(f"{group}:\n  _target_: {target}\n  {value}"))


@pytest.mark.parametrize("target", ["trainyard.models.cnn.CNN", "torch.optim.SGD", "timm.create_model"])
def test_rules_apply_to_known_packages_also_inside_an_object_of_a_user(target: str) -> None:
    cfg = OmegaConf.create({"model": {"_target_": "my_project.Net", "part": {"_target_": target, "dropout": 2}}})
    with pytest.raises(ConfigError, match=r"model\.part\.dropout=2: must be a number from 0 below 1"):
        check_ranges(cfg)


def test_any_argument_is_accepted_by_a_class_that_passes_it_on() -> None:
    strategy = {"_target_": "lightning.pytorch.strategies.DDPStrategy", "find_unused_parameters": True}
    check_arguments(OmegaConf.create({"trainer": {"strategy": strategy}}))
    with pytest.raises(ConfigError, match=r"model\.hiden_dims=\[8\]: .* did you mean hidden_dims"):
        check_arguments(OmegaConf.create({"model": {"_target_": "trainyard.models.mlp.MLP", "hiden_dims": [8]}}))
