"""Every model with every optimizer and every schedule trains, on every kind of data that it takes."""

import warnings

import lightning as L
import pytest
import torch

from tests.conftest import Compose
from trainyard.compatibility import has_backbone
from trainyard.config import group_options, instantiate
from trainyard.data.loading.datamodule import DataModule

MODELS = {
    "mlp": ["model.hidden_dims=[8]"],
    "cnn": ["model.channels=[4]", "model.hidden_dims=[8]"],
    "resnet": ["model.channels=[4]"],
    "transfer": ["model.backbone=test_resnet", "model.weights=none", "model.image_size=32"],
}


@pytest.fixture(scope="module")
def sources() -> dict[str, DataModule]:
    """Each source that is there offline, read once; small enough to look at a batch of it 300 times."""
    from trainyard.config import compose

    few = {"shapes": ["data.count=60", "data.image_size=32"]}
    return {
        name: instantiate(compose([f"data={name}", "data.batch_size=8", *few.get(name, [])]).data, order_seed=0)
        for name in ("digits", "penguins", "shapes")
    }


def test_every_model_is_here() -> None:
    assert set(MODELS) == set(group_options("model"))


def train_two_steps(cfg, data: DataModule, part: str = "") -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    groups = ["optimizer", "scheduler", *(["finetune"] if has_backbone(cfg) else [])]
    model = instantiate(cfg.model, spec=data.spec, **{group: instantiate(cfg[group]) for group in groups})
    trainable = [p for p in model.get_submodule(part).parameters() if p.requires_grad or part]
    before = torch.nn.utils.parameters_to_vector(trainable).detach().clone()
    options = {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 1, "num_sanity_val_steps": 0}
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
        warnings.filterwarnings("ignore", message="Found .* in eval mode")  # what is frozen
        L.Trainer(accelerator="cpu", **options, **quiet).fit(model, data)
    return before, torch.nn.utils.parameters_to_vector(trainable).detach()


@pytest.mark.parametrize("scheduler", group_options("scheduler"))
@pytest.mark.parametrize("optimizer", group_options("optimizer"))
@pytest.mark.parametrize("model", MODELS)
def test_trains(compose_run: Compose, sources: dict, model: str, optimizer: str, scheduler: str) -> None:
    cfg = compose_run(f"model={model}", *MODELS[model], f"optimizer={optimizer}", f"scheduler={scheduler}")
    before, after = train_two_steps(cfg, sources["digits"])
    assert bool(after.isfinite().all())
    assert not torch.equal(before, after)


@pytest.mark.parametrize(
    ("model", "source"),
    [("mlp", "penguins"), ("mlp", "shapes"), ("cnn", "shapes"), ("resnet", "shapes"), ("transfer", "shapes")],
)
def test_trains_on(compose_run: Compose, sources: dict, model: str, source: str) -> None:
    before, after = train_two_steps(compose_run(f"model={model}", *MODELS[model]), sources[source])
    assert not torch.equal(before, after)


@pytest.mark.parametrize("scheduler", ["cosine_warmup", "one_cycle", "plateau"])
@pytest.mark.parametrize("finetune", group_options("finetune"))
def test_every_plan_trains(compose_run: Compose, sources: dict, finetune: str, scheduler: str) -> None:
    cfg = compose_run("model=transfer", *MODELS["transfer"], f"finetune={finetune}", f"scheduler={scheduler}")
    before, after = train_two_steps(cfg, sources["digits"])
    assert bool(after.isfinite().all())
    assert not torch.equal(before, after)


@pytest.mark.parametrize("optimizer", group_options("optimizer"))
def test_layers_that_thaw_learn_with_every_optimizer(compose_run: Compose, sources: dict, optimizer: str) -> None:
    cfg = compose_run("model=transfer", *MODELS["transfer"], "finetune.thaw=[0.5]", f"optimizer={optimizer}")
    before, after = train_two_steps(cfg, sources["digits"], part="backbone")
    assert bool(after.isfinite().all())
    assert not torch.equal(before, after)
