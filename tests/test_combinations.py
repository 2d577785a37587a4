"""A covering set of combinations trains: models with every schedule, a backbone with every optimizer."""

import warnings
from itertools import cycle

import lightning as L
import pytest
import torch

from tests.conftest import Compose
from trainyard.config.accepted import has_backbone
from trainyard.config.composition import compose, instantiate, load_options
from trainyard.config.task_option import choose_task
from trainyard.data.loading.datamodule import DataModule

MODELS = {
    "mlp": ["model.hidden_dims=[8]"],
    "tabular": ["model.hidden_dims=[8]", "model.members=2"],
    "cnn": ["model.channels=[4]", "model.hidden_dims=[8]"],
    "resnet": ["model.channels=[4]"],
    "whitened_cnn": ["model.channels=[4]"],
    "transfer": ["model.backbone=test_resnet", "model.weights=none", "model.image_size=32"],
}
SOURCES = {"digits": [], "shapes": ["data.count=60", "data.image_size=32"], "penguins": []}
IMAGES = ("digits", "shapes")
UNFREEZING = {  # plans that unfreeze layers within two steps
    "full": [],
    "fine_tune": ["finetune.unfreeze=[0.5]"],
    "gradual": ["finetune.unfreeze=[0,0.5]"],
    "head": ["finetune.unfreeze=[0.5]"],
}
OPTIMIZERS, SCHEDULERS, AUGMENTS = (list(load_options(group)) for group in ("optimizer", "scheduler", "augment"))


def combinations() -> list[dict[str, str]]:
    """Return transfer with every optimizer, and the other models with every schedule; other groups alternate."""
    optimizers, augments = cycle(OPTIMIZERS), cycle(AUGMENTS)
    rows = []
    for model in ("mlp", "cnn", "resnet", "whitened_cnn", "tabular"):
        sources = cycle({"mlp": [*SOURCES], "tabular": ["penguins"]}.get(model, IMAGES))
        for scheduler in SCHEDULERS:
            row = {"model": model, "data": next(sources), "optimizer": next(optimizers), "scheduler": scheduler}
            rows.append(row | ({"augment": next(augments)} if row["data"] in IMAGES else {}))
    turns = zip(OPTIMIZERS, cycle(UNFREEZING), cycle(SCHEDULERS), cycle(IMAGES), strict=False)
    for optimizer, plan, scheduler, source in turns:
        row = {"model": "transfer", "data": source, "optimizer": optimizer, "scheduler": scheduler, "finetune": plan}
        rows.append(row | {"augment": next(augments)})
    return rows


ROWS = combinations()


@pytest.mark.parametrize("group", ["model", "optimizer", "scheduler", "finetune", "augment"])
def test_every_option_is_covered(group: str) -> None:
    assert {row[group] for row in ROWS if group in row} == set(load_options(group))


def test_every_optimizer_trains_at_least_two_models() -> None:
    assert all(len({row["model"] for row in ROWS if row["optimizer"] == name}) > 1 for name in OPTIMIZERS)


@pytest.fixture(scope="module")
def sources() -> dict[str, DataModule]:
    """Load each source that needs no download once."""
    words = {name: [f"data={name}", "data.batch_size=8", *more] for name, more in SOURCES.items()}
    return {name: instantiate(compose(words[name]).data, order_seed=0) for name in SOURCES}


def train_two_steps(cfg, data: DataModule, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    choose_task(cfg, data.spec.target.kind)
    data.augment = instantiate(cfg.augment)
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
        warnings.filterwarnings("ignore", message="Found .* in eval mode")  # frozen layers
        L.Trainer(accelerator="cpu", **options, **quiet).fit(model, data)
    return before, torch.nn.utils.parameters_to_vector(trainable).detach()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row.values()))
def test_trains(compose_run: Compose, sources: dict[str, DataModule], row: dict[str, str]) -> None:
    plan = UNFREEZING[row["finetune"]] if "finetune" in row else []
    cfg = compose_run(*(f"{group}={option}" for group, option in row.items()), *MODELS[row["model"]], *plan)
    before, after = train_two_steps(cfg, sources[row["data"]], part="backbone" if "finetune" in row else "")
    assert bool(after.isfinite().all())
    assert not torch.equal(before, after)
