"""The first layer whitens the patches of training images, and is computed once; the other layers fit any image size."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from tests.conftest import Compose
from trainyard.data.loading.forward_cost import forward_cost
from trainyard.data.loading.spec import DataSpec
from trainyard.data.loading.target import Classes
from trainyard.io.errors import ConfigError
from trainyard.models.whitened_cnn import WhitenedCNN, Whitening, training_images
from trainyard.optim.optimizers import weight_decay_groups
from trainyard.run.run_builder import QUIET, build_data


def spec(channels: int = 3, height: int = 12, width: int = 12) -> DataSpec:
    return DataSpec((channels, height, width), Classes(("a", "b", "c")), (), (0.5,) * channels, (0.25,) * channels)


def smooth_images(count: int = 200, channels: int = 3, size: int = 12) -> torch.Tensor:
    """Return images of correlated pixels and channels."""
    noise = torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 3, stride=1, padding=1) + noise.mean(1, keepdim=True)


def sgd(groups: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=0.01)


def fit(model: WhitenedCNN, data: L.LightningDataModule, folder: Path, **options: Any) -> L.Trainer:
    quiet = {**QUIET, "accelerator": "cpu", "max_steps": 2, "limit_val_batches": 0, "default_root_dir": folder}
    trainer = L.Trainer(**{**quiet, **options})
    trainer.fit(model, data)
    return trainer


def small_photos(compose_run: Compose) -> Any:
    return build_data(compose_run("data=shapes", "data.count=60", "data.image_size=16", "data.batch_size=8"))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_outputs_of_the_kernels_are_uncorrelated_with_variance_1(channels: int) -> None:
    images, layer = smooth_images(channels=channels), Whitening(channels)
    layer.compute(images, eps=0.0)
    maps = F.conv2d(images, layer.weight)
    components = 4 * channels
    assert maps.shape[1] == 2 * components
    outputs = maps[:, :components].transpose(0, 1).flatten(1)
    assert torch.allclose(outputs.cov(), torch.eye(components), atol=1e-3)
    assert torch.equal(maps[:, :components], -maps[:, components:])
    assert torch.equal(layer(images), F.gelu(maps)), "the biases are 0 at first"


def test_patches_without_variance_give_finite_kernels() -> None:
    layer = Whitening(3)
    layer.compute(torch.ones(5, 3, 4, 4))
    assert float(layer.weight.abs().max()) <= 5e-4**-0.5


def test_the_first_layer_is_computed_from_training_images_and_stays_fixed(compose_run: Compose, tmp_path: Path) -> None:
    data = small_photos(compose_run)
    model = WhitenedCNN(data.spec, channels=[4], optimizer=sgd)
    assert not model.whitening.computed
    expected = Whitening(3)
    expected.compute(model.normalize(data.splits["train"].x))
    bias = model.whitening.bias.detach().clone()
    fit(model, data, tmp_path)
    assert torch.equal(model.whitening.weight, expected.weight)
    assert not torch.equal(model.whitening.bias, bias), "the biases are trained"


def test_an_ordinary_first_layer_is_trained(compose_run: Compose, tmp_path: Path) -> None:
    data = small_photos(compose_run)
    model = WhitenedCNN(data.spec, channels=[4], whiten=False, optimizer=sgd)
    before = model.whitening.weight.detach().clone()
    fit(model, data, tmp_path)
    change = (model.whitening.weight.detach() - before).norm() / before.norm()
    assert 0 < change.item() < 0.1, "trained from its random weights"


def test_a_trained_model_keeps_its_first_layer(compose_run: Compose, tmp_path: Path) -> None:
    data = small_photos(compose_run)
    model = WhitenedCNN(data.spec, channels=[4], optimizer=sgd)
    fit(model, data, tmp_path)
    again = WhitenedCNN(data.spec, channels=[4], optimizer=sgd)
    again.load_state_dict(model.state_dict())
    before = again.whitening.weight.clone()
    data.splits["train"].x.copy_(255 - data.splits["train"].x // 2)
    fit(again, data, tmp_path)
    assert torch.equal(again.whitening.weight, before)


def test_images_are_evenly_spaced_over_the_training_examples(compose_run: Compose, tmp_path: Path) -> None:
    data = small_photos(compose_run)
    trainer = fit(WhitenedCNN(data.spec, channels=[4], optimizer=sgd), data, tmp_path)
    train = data.splits["train"].x
    assert torch.equal(training_images(trainer, pixels=3 * 16 * 16), train[[0, len(train) // 3, 2 * len(train) // 3]])
    assert torch.equal(training_images(trainer, pixels=10**9), train)


class ForeignData(L.LightningDataModule):
    """Described images in an ordinary, shuffling DataLoader."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = spec()
        self.images = torch.randint(0, 256, (20, 3, 12, 12), dtype=torch.uint8)

    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(self.images, torch.zeros(20).long()), batch_size=10, shuffle=True)

    def val_dataloader(self) -> Any:
        return self.train_dataloader()


def test_another_data_module_gives_its_first_batch_and_keeps_its_order(tmp_path: Path) -> None:
    data = ForeignData()
    trainer = fit(WhitenedCNN(data.spec, channels=[4], optimizer=sgd), data, tmp_path)
    torch.manual_seed(1)
    images = training_images(trainer, pixels=1)
    order = next(iter(data.train_dataloader()))[0]
    torch.manual_seed(1)
    assert images.shape == (10, 3, 12, 12)
    assert torch.equal(next(iter(data.train_dataloader()))[0], order), "the draw of the first batch was undone"


@pytest.mark.parametrize(("height", "width"), [(3, 3), (3, 40), (8, 8), (28, 28), (33, 20)])
def test_accepts_images_of_any_size_even_one_at_a_time(height: int, width: int) -> None:
    model = WhitenedCNN(spec(1, height, width), channels=[4, 6, 8, 8])
    assert model.train()(torch.rand(1, 1, height, width)).shape == (1, 3)


def test_blocks_halve_the_image_as_in_the_paper() -> None:
    model = WhitenedCNN(spec(3, 32, 32), channels=[4, 6, 8])
    x = model.whitening(torch.zeros(1, 3, 32, 32))
    sides = [x.shape[-1], *((x := block(x)).shape[-1] for block in model.blocks)]
    assert sides == [31, 15, 7, 3]


def test_rejects_images_that_are_too_small() -> None:
    with pytest.raises(ConfigError, match="images of 2x12 pixels are too small"):
        WhitenedCNN(spec(3, 2, 12), channels=[4])


def test_biases_of_norms_have_a_learning_rate_of_their_own() -> None:
    model = WhitenedCNN(spec(), channels=[4, 6], bias_lr_factor=64, optimizer=sgd)
    groups = model.build_optimizer(total_steps=10, epoch_steps=5)["optimizer"].param_groups
    rates = {group["name"]: (group["lr"], len(group["params"])) for group in groups}
    assert rates == {"weights": (0.01, 5), "biases_and_norms": (0.01, 2), "norms": (0.64, 4)}
    grouped = {id(parameter) for group in groups for parameter in group["params"]}
    assert grouped == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


def test_the_default_gives_every_parameter_the_same_rate() -> None:
    model = WhitenedCNN(spec(), channels=[4], optimizer=sgd)
    expected = weight_decay_groups((n, p) for n, p in model.named_parameters() if p.requires_grad)
    decay = {id(p): group.get("weight_decay") for group in expected for p in group["params"]}
    own = model.parameter_groups(10, 5)
    assert {id(p): group.get("weight_decay") for group in own for p in group["params"]} == decay
    assert all(group.get("lr_factor", 1.0) == 1.0 for group in own)


def test_two_views_are_an_image_and_its_mirror_image() -> None:
    torch.manual_seed(0)
    model = WhitenedCNN(spec(), channels=[4]).eval()
    x = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8)
    mean = (model(x) + model(x.flip(3))) / 2
    assert not torch.allclose(model(x), mean)
    model.evaluation_views = 2
    assert torch.allclose(model(x), mean)
    assert torch.allclose(model(x.flip(3)), mean)


def test_six_views_are_moved_by_a_pixel_too() -> None:
    torch.manual_seed(0)
    model = WhitenedCNN(spec(), channels=[4]).eval()
    x = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8)
    columns = [*range(1, 12), 10]  # the border is reflected
    rows = [1, *range(11)]
    left, right = x[..., columns, :][..., columns], x[..., rows, :][..., rows]
    views = [(x, 2), (left, 1), (right, 1)]
    mean = sum(weight * (model(view) + model(view.flip(3))) for view, weight in views) / 8
    model.evaluation_views = 6
    assert torch.allclose(model(x), mean, atol=1e-6)
    assert not torch.allclose(model(x), model.train()(x), atol=1e-3)


def test_the_cost_of_training_does_not_depend_on_the_views_in_evaluation() -> None:
    one, six = (WhitenedCNN(spec(), channels=[4], evaluation_views=views) for views in (1, 6))
    assert forward_cost(one).flops == forward_cost(six).flops > 0


def test_convolutions_copy_their_inputs_at_first() -> None:
    first, second = (
        layer for layer in WhitenedCNN(spec(), channels=[30]).blocks[0] if isinstance(layer, torch.nn.Conv2d)
    )
    x = torch.rand(2, 24, 5, 5)
    assert torch.allclose(first(x)[:, :24], x)
    assert not torch.allclose(first(x)[:, 24:].std(), torch.tensor(0.0))
    x = torch.rand(2, 30, 5, 5)
    assert torch.allclose(second(x), x)
