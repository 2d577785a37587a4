"""The encoding of table rows equals a NumPy implementation."""

import numpy as np
import pytest
import torch

from trainyard.data.loading.spec import Column
from trainyard.models.input_layers import EncodeColumns

NAN = float("nan")
COLUMNS = (
    Column("a", median=2.0),
    Column("size", levels=("s", "m", "l")),
    Column("b", median=-1.0, may_miss=True),
    Column("town", levels=tuple("abcde"), embedded=True),
    Column("wet", levels=("no", "yes"), may_miss=True),
)
MEAN, STD = (10.0, 0.0, 5.0, 0.0, 0.0), (2.0, 1.0, 4.0, 1.0, 1.0)
ROWS = torch.tensor([[12, 1, 9, 5, 2], [8, 3, NAN, 1, 0], [NAN, 0, 1, 0, 1]])


def test_columns_are_encoded_by_kind() -> None:
    encode = EncodeColumns(COLUMNS, MEAN, STD)
    out = encode(ROWS).detach().numpy()
    numbers = [[1, 1, 0], [-1, -1.5, 1], [-4, -1, 0]]  # a, b, b is missing; medians 2 and -1 where missing
    size = [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]  # no missing values in training, so code 0 is not trained
    wet = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    town = encode.embeddings[0].weight.detach().numpy()[[5, 1, 0]]
    assert out.tolist() == np.hstack([numbers, size, wet, town]).astype("float32").tolist()
    assert out.shape[1] == 3 + 4 + 3 + COLUMNS[3].embedding_width


def test_unknown_category_is_zero_without_missing_values() -> None:
    assert EncodeColumns([Column("x", tuple("abc"), embedded=True)], [0.0], [1.0])(torch.zeros(1, 1)).abs().sum() == 0
    missed = EncodeColumns([Column("x", tuple("abc"), embedded=True, may_miss=True)], [0.0], [1.0])
    assert missed(torch.zeros(1, 1)).abs().sum() > 0


@pytest.mark.parametrize("embedded", [True, False])
@pytest.mark.parametrize("may_miss", [True, False])
def test_missing_category_as_nan(embedded: bool, may_miss: bool) -> None:
    encode = EncodeColumns([Column("x", ("p", "q"), embedded=embedded, may_miss=may_miss)], [0.0], [1.0])
    assert torch.equal(encode(torch.tensor([[NAN]])), encode(torch.tensor([[0.0]])))


def test_small_deviation_with_large_mean_is_precise() -> None:
    years = torch.arange(2000, 2026).float()[:, None]
    encode = EncodeColumns([Column("year")], [years.double().mean().item()], [years.double().std(correction=0).item()])
    exact = (years.double() - years.double().mean()) / years.double().std(correction=0)
    assert float((encode(years).double() - exact).abs().max()) < 1e-6


def test_only_categories_and_only_numbers() -> None:
    assert EncodeColumns(COLUMNS[1:2], [0.0], [1.0])(torch.tensor([[2.0]])).tolist() == [[0, 0, 1, 0]]
    assert EncodeColumns(COLUMNS[:1], [10.0], [2.0])(torch.tensor([[11.0]])).tolist() == [[0.5]]


def test_cyclic_parts_of_dates_are_points_of_a_circle() -> None:
    columns = [Column("d.year", part="year"), *(Column(f"d.{part}", part=part) for part in ("weekday", "hour"))]
    encode = EncodeColumns(columns, [2016.0, 3.0, 12.0], [2.0, 2.0, 6.0])
    out = encode(torch.tensor([[2018, 0, 6], [2016, 3.5, 12], [2016, NAN, NAN]]))
    expected = [[1, 0, 1, 1, 0], [0, 0, 0, -1, -1], [0, 0, 0, 0, 0]]  # year; sines and cosines of weekday and hour
    assert np.allclose(out, expected, atol=1e-6)
    assert out.shape[1] == 5
    assert not {"cyclic", "periods"} & {*encode.state_dict()}, "older checkpoints load"


def test_the_weights_of_an_embedding_are_bounded() -> None:
    counts = {2: 2, 17: 8, 100: 21, 4000: 166, 12_000: 2**20 // 12_000, 10**6: 8}
    assert {count: Column("x", ("level",) * count).embedding_width for count in counts} == counts
