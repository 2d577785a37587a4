"""`model=tabular`: the embedding of numbers, the ensemble, its loss, and runs that repeat and resume bitwise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes, Labels, Numbers, Target
from trainyard.data.sources.table import Table
from trainyard.models.number_embeddings import PiecewiseLinearEmbedding
from trainyard.models.tabular import SeparateLinear, SharedLinear, Tabular

NAN = float("nan")
COLUMNS = (
    Column("a", median=2.0, quantiles=(0.0, 1.0, 2.0, 4.0)),
    Column("size", levels=("s", "m", "l")),
    Column("b", median=-1.0, may_miss=True, quantiles=(-1.0, -1.0, 5.0)),
    Column("town", levels=tuple("abcde"), embedded=True),
    Column("flat", quantiles=(3.0, 3.0, 3.0)),
)
MEAN, STD = (2.0, 0.0, 1.0, 0.0, 3.0), (2.0, 1.0, 4.0, 1.0, 1.0)
ROWS = torch.tensor([[3, 1, 2, 5, 3], [1, 3, NAN, 1, 3], [NAN, 0, 5, 0, 3]])
TARGETS: list[tuple[Target, torch.Tensor]] = [
    (Classes(("x", "y", "z")), torch.tensor([0, 2, 1])),
    (Numbers(("u", "v"), (1.0, 2.0), (3.0, 4.0)), torch.tensor([[1.0, 2], [3, 4], [5, 6]])),
    (Labels(("p", "q")), torch.tensor([[1.0, 0], [0, 0], [1, 1]])),
]


def build(target: Target = TARGETS[0][0], columns: tuple[Column, ...] = COLUMNS, **options: Any) -> Tabular:
    torch.manual_seed(0)
    mean, std = MEAN[: len(columns)], STD[: len(columns)]
    return Tabular(DataSpec((len(columns),), target, columns, mean, std), [6, 4], members=3, **options)


def test_embedding_interpolates_between_quantiles() -> None:
    edges = [[-1.0, 0.0, 0.5, 2.0], [1.0, 3.0], [4.0]]
    embed = PiecewiseLinearEmbedding(edges, 2)
    torch.nn.init.normal_(embed.weight)
    x = torch.tensor([[-0.25, 2.0, 4.0], [1.7, 3.0, 7.0], [-9.0, 9.0, 4.0]])
    weight, slope, bias = (value.detach().numpy() for value in (embed.weight, embed.slope, embed.bias))
    for row, numbers in enumerate(x.numpy()):
        for order, (number, points) in enumerate(zip(numbers, edges, strict=True)):
            values = np.concatenate([[np.zeros(2)], weight[order, : len(points) - 1].cumsum(axis=0)])
            learned = [np.interp(number, points, values[:, part]) for part in range(2)]
            assert embed(x)[row, order].tolist() == pytest.approx(
                bias[order] + slope[order] * number + learned, abs=1e-5
            )


def test_embedding_equals_rtdl_num_embeddings() -> None:
    rtdl = pytest.importorskip("rtdl_num_embeddings")
    rows = torch.randn(200, 4)
    edges = rtdl.compute_bins(rows, n_bins=8)
    theirs = rtdl.PiecewiseLinearEmbeddings(edges, 5, activation=False, version="B")
    ours = PiecewiseLinearEmbedding([points.tolist() for points in edges], 5)
    torch.nn.init.normal_(ours.weight)
    theirs.linear.weight.data, theirs.linear0.weight.data = ours.weight.data, ours.slope.data
    theirs.linear0.bias.data = ours.bias.data
    torch.testing.assert_close(ours(rows), theirs(rows), rtol=1e-4, atol=1e-5)


def test_layers_equal_tabm() -> None:
    tabm = pytest.importorskip("tabm")
    layer = SharedLinear(5, 6, torch.randn(3, 5))
    for parameter in (layer.output_scale, layer.bias):
        torch.nn.init.normal_(parameter)
    names = {"weight": layer.weight, "r": layer.input_scale, "s": layer.output_scale, "bias": layer.bias}
    theirs = tabm.LinearBatchEnsemble(5, 6, k=3, scaling_init="ones")
    theirs.load_state_dict(names)
    features = torch.randn(7, 3, 5)
    torch.testing.assert_close(layer(features), theirs(features))
    last = SeparateLinear(5, 6, 3)
    separate = tabm.LinearEnsemble(5, 6, k=3)
    separate.load_state_dict({"weight": last.weight, "bias": last.bias})
    torch.testing.assert_close(last(features), separate(features))


def test_members_equal_separate_perceptrons() -> None:
    model = build()
    for name, parameter in model.net.named_parameters():
        assert name.endswith(("weight", "scale", "bias"))
        torch.nn.init.normal_(parameter)
    features = model.features(ROWS)
    for member in range(3):
        hidden = features
        for layer in model.net[0:4:2]:
            assert isinstance(layer, SharedLinear)
            weight = layer.output_scale[member, :, None] * layer.weight * layer.input_scale[member]
            hidden = F.relu(hidden @ weight.T + layer.bias[member])
        outputs = hidden @ model.net[4].weight[member] + model.net[4].bias[member]
        torch.testing.assert_close(model.member_outputs(ROWS)[:, member], outputs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("target", "y"), TARGETS)
def test_training_loss_is_the_mean_of_the_members(target: Target, y: torch.Tensor) -> None:
    model = build(target)
    outputs, loss = model.outputs_and_loss(ROWS, y, training=True)
    members = model.member_outputs(ROWS).unbind(1)
    assert loss.item() == pytest.approx(sum(model.task.loss(each, y, True).item() for each in members) / 3)
    assert torch.equal(outputs, model(ROWS))
    evaluated = model.outputs_and_loss(ROWS, y, training=False)[1]
    assert evaluated.item() == model.task.loss(model(ROWS), y, False).item() != loss.item()


def test_number_of_parameters() -> None:
    model = build(embedding_width=5)
    width = 3 * 5 + 1 + 4 + COLUMNS[3].embedding_width  # numbers, an indicator, one-hot, embedded
    embedding = 3 * 5 * 2 + 3 * 3 * 5 + 6 * COLUMNS[3].embedding_width
    layers = [(inputs * outputs + 3 * (inputs + 2 * outputs)) for inputs, outputs in ((width, 6), (6, 4))]
    assert sum(parameter.numel() for parameter in model.parameters()) == embedding + sum(layers) + 3 * (4 * 3 + 3)


def test_missing_numbers_and_categories_are_encoded_as_in_an_mlp() -> None:
    model = build()
    features = model.features(ROWS)
    known = ROWS.clone()
    known[2, 0], known[1, 2] = 2.0, -1.0  # the medians
    features_known = model.features(known)
    indicator = 3 * 8
    assert features[:, indicator].tolist() == [0, 1, 0]
    assert torch.equal(features[:, :indicator], features_known[:, :indicator])
    assert torch.equal(features[:, indicator + 1 :], model.normalize(ROWS)[:, 4:])


def test_tables_with_only_categories_or_only_numbers() -> None:
    assert build(columns=COLUMNS[1:2])(torch.tensor([[1.0], [0.0]])).shape == (2, 3)
    assert build(columns=COLUMNS[:1])(torch.tensor([[1.0], [NAN]])).shape == (2, 3)


def test_scales_and_biases_have_no_weight_decay_and_all_parameters_the_same_rate() -> None:
    model = build(lr_factor=2.0)
    groups = {group["name"]: group for group in model.parameter_groups(10, 5)}
    decayed = {id(parameter) for parameter in groups["weights"]["params"]}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in decayed}
    expected = {"embedding.weight", "embedding.slope", "normalize.embeddings.0.weight"}
    assert names == expected | {f"net.{layer}.weight" for layer in (0, 2, 4)}
    assert groups["biases_and_norms"]["weight_decay"] == 0.0
    assert [group["lr_factor"] for group in groups.values()] == [2.0, 2.0]


def test_quantiles_are_those_of_the_training_rows(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=200).round(3)
    lines = [f"{number},{label}" for number, label in zip(numbers, "xy" * 100, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(["a,target", *lines]))
    data = Table(path=str(tmp_path / "table.csv"), target="target")
    rows = data.splits["train"].x[:, 0].numpy()
    [column] = data.spec.columns
    assert column.quantiles == pytest.approx([np.quantile(rows, share / 32) for share in range(33)])
    model = Tabular(DataSpec.from_dict(data.spec.to_dict()), [4])
    edges = (np.unique(column.quantiles) - rows.mean()) / rows.std()
    assert model.embedding.starts[0].tolist() == pytest.approx(edges[:-1], abs=1e-5)
    assert (1 / model.embedding.scale[0]).tolist() == pytest.approx(np.diff(edges), rel=1e-3)


def test_an_ensemble_learns_a_step_that_a_linear_function_cannot() -> None:
    torch.manual_seed(0)
    x = torch.rand(400, 1)
    y = ((x[:, 0] * 8).long() % 2).long()
    edges = tuple(torch.linspace(0, 1, 33).tolist())
    spec = DataSpec((1,), Classes(("x", "y")), (Column("a", quantiles=edges),), (0.5,), (0.29,))
    model = Tabular(spec, [16], members=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        (model.outputs_and_loss(x, y, training=True)[1] / len(y)).backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).float().mean() > 0.95
