"""Groups that are passed to the constructors of model and data, or are unused."""

from typing import Any

import lightning as L
import pytest
from omegaconf import DictConfig, open_dict

from tests.conftest import Compose
from trainyard.config.accepted import accepts, remove_unused
from trainyard.io.errors import ConfigError
from trainyard.models.supervised import SupervisedModel


class OwnOptimizer(L.LightningModule):
    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()


class TakesOptimizer(L.LightningModule):
    def __init__(self, optimizer: Any, **more: Any) -> None:
        super().__init__()


class Linear(SupervisedModel):
    def __init__(self, spec: Any, **training: Any) -> None:
        super().__init__(spec, **training)


class Plain(L.LightningDataModule):
    def __init__(self) -> None:
        super().__init__()


def own_parts(cfg: DictConfig, model: type, **values: Any) -> DictConfig:
    """Replace model and data of a config by plain classes."""
    with open_dict(cfg):
        cfg.model = {"_target_": f"{__name__}.{model.__name__}", **values}
        cfg.data = {"_target_": f"{__name__}.Plain"}
    return cfg


def test_built_in_models_use_all_groups(compose_run: Compose) -> None:
    cfg = compose_run("model=transfer")
    remove_unused(cfg)
    assert None not in (cfg.optimizer, cfg.scheduler, cfg.augment, cfg.finetune)


def test_a_model_without_backbone_has_no_finetuning_plan(compose_run: Compose) -> None:
    cfg = compose_run()
    remove_unused(cfg)
    assert cfg.finetune is cfg.run.choices.finetune is None
    assert cfg.optimizer is not None


def test_unused_groups_become_null(compose_run: Compose) -> None:
    cfg = own_parts(compose_run(), OwnOptimizer)
    remove_unused(cfg)
    assert [cfg[name] for name in ("optimizer", "scheduler", "augment", "finetune")] == [None] * 4
    assert [cfg.run.choices[name] for name in ("optimizer", "scheduler", "augment", "finetune")] == [None] * 4


def test_any_name_behind_kwargs_is_not_passed(compose_run: Compose) -> None:
    cfg = own_parts(compose_run(), TakesOptimizer)
    assert accepts(cfg, "model", "optimizer")
    assert not accepts(cfg, "model", "spec")
    remove_unused(cfg)
    assert cfg.optimizer is not None
    assert cfg.scheduler is None


def test_a_subclass_passes_kwargs_to_the_constructor_that_names_them(compose_run: Compose) -> None:
    cfg = own_parts(compose_run(), Linear)
    remove_unused(cfg)
    assert None not in (cfg.optimizer, cfg.scheduler)
    assert cfg.finetune is None


def test_a_value_of_the_model_itself_has_precedence(compose_run: Compose) -> None:
    cfg = own_parts(compose_run(), TakesOptimizer, optimizer={"_target_": "torch.optim.SGD", "_partial_": True})
    remove_unused(cfg)
    assert cfg.optimizer is None


@pytest.mark.parametrize(
    "word",
    ["optimizer=sgd", "optimizer.lr=1", "scheduler=cosine", "augment=flip", "+optimizer.x=1", "augment.flip=0.5"],
)
def test_a_group_that_nothing_accepts_must_not_be_given(compose_run: Compose, word: str) -> None:
    cfg = own_parts(compose_run(word), OwnOptimizer)
    with pytest.raises(ConfigError) as raised:
        remove_unused(cfg)
    assert str(raised.value).startswith(f"{word}: ")
    assert f"has no parameter {word.lstrip('+').partition('=')[0].partition('.')[0]}" in str(raised.value)


def test_a_given_group_must_not_hide_behind_a_value_of_the_model(compose_run: Compose) -> None:
    cfg = own_parts(compose_run("optimizer=sgd"), TakesOptimizer, optimizer={"_target_": "torch.optim.SGD"})
    with pytest.raises(ConfigError, match=r"optimizer=sgd: model=mlp sets model\.optimizer itself"):
        remove_unused(cfg)
