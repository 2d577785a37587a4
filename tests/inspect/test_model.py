"""`show model`: shapes, parameters and FLOPs, compared with numbers computed by hand."""

from trainyard.config.composition import compose
from trainyard.inspect.model import Layer, summarize_layers
from trainyard.inspect.untrained import untrained_data, untrained_model


def summarize(*overrides: str, depth: int = 2) -> tuple[dict[str, Layer], int]:
    cfg = compose(overrides)
    layers, flops = summarize_layers(untrained_model(cfg, untrained_data(cfg)), depth)
    return {layer.name: layer for layer in layers}, flops


def test_layers_of_an_mlp() -> None:
    layers, flops = summarize("model=mlp", "model.hidden_dims=[32,16]")
    products = [64 * 32, 32 * 16, 16 * 10]
    assert [layers[f"net.{number}"].flops for number in (1, 3, 5)] == [2 * product for product in products]
    assert layers["net"].flops == flops == 2 * sum(products)
    assert [layers[f"net.{number}"].parameters for number in (1, 3, 5)] == [65 * 32, 33 * 16, 17 * 10]
    assert [layers[f"net.{number}"].shape for number in (0, 1, 3, 5)] == [(64,), (32,), (16,), (10,)]
    assert layers["normalize"] == Layer("normalize", "Normalize", (1, 8, 8), 0, "", 0)


def test_layers_of_a_cnn() -> None:
    layers, flops = summarize("model=cnn", "model.channels=[4,8]", "model.kernel_size=3", "model.hidden_dims=[]")
    convolutions = [2 * 64 * 9 * 1 * 4, 2 * 16 * 9 * 4 * 8]  # of 8x8 and 4x4 places
    assert [layers[f"blocks.{number}"].flops for number in (0, 1)] == convolutions
    assert [layers[f"blocks.{number}"].shape for number in (0, 1)] == [(4, 4, 4), (8, 2, 2)]
    assert layers["blocks.1"].parameters == 9 * 4 * 8 + 2 * 8, "kernels, and the norm's scale and shift"
    assert flops == sum(convolutions) + 2 * 32 * 10
    assert "blocks.0.0" not in layers


def test_flops_include_attention() -> None:
    words = ("model=transfer", "model.weights=none", "model.backbone=test_vit", "model.image_size=64", "finetune=head")
    layers, flops = summarize(*words, depth=3)
    tokens, width = 17, 64  # of 4 x 4 patches and the class token
    projections = 2 * tokens * width * (3 * width + width)
    attention = 2 * 2 * tokens**2 * width
    block = projections + attention + 2 * 2 * tokens * width * 192
    assert layers["backbone.blocks.0"].flops == block
    assert layers["backbone"].flops == layers["backbone.blocks"].flops + layers["backbone.patch_embed"].flops
    assert flops == layers["backbone"].flops + layers["head"].flops
    assert (layers["backbone"].trainable, layers["head"].trainable) == ("no", "yes")


def test_partly_trainable_backbone() -> None:
    words = ("model=transfer", "model.weights=none", "model.backbone=test_resnet", "model.image_size=32")
    layers, _ = summarize(*words, "finetune=gradual", "finetune.unfreeze=[0,0.5]", depth=1)
    assert layers["backbone"].trainable == "partly"


def test_command_prints_a_table(run_command) -> None:
    code, screen, errors = run_command("show", "model", "data=penguins", "model.hidden_dims=[8]", "--depth", "1")
    assert (code, errors) == (0, "")
    assert screen.splitlines() == [
        "layer      kind           output  parameters  trainable  FLOPs",
        "normalize  EncodeColumns  4",
        "net        Sequential     3               67  yes          112",
        "67 parameters (0.0 MiB), 67 of them trainable from the start",
        "112 FLOPs of matrix products and convolutions in a forward pass of one example; a multiply-add is 2",
    ]


def test_incompatible_model_and_data_are_an_error(run_command) -> None:
    code, screen, errors = run_command("show", "model", "model=cnn", "data=penguins")
    assert (code, screen) == (1, "")
    assert "model=cnn data=penguins" in errors
    assert "model=mlp" in errors
    assert len(errors.strip().splitlines()) <= 3
