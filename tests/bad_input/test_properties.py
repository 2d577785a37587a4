"""Any input gives a valid result or a short error message that names the solution.

These tests use a few fixed examples; `fuzz.py` uses new random ones.
"""

import csv
import io
import logging
import os
import resource
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import assume, given

from tests.bad_input.examples import count_example, max_examples
from tests.bad_input.strategies import CELLS, CONDITIONS, CORRUPT_IMAGES, RAW_TABLES, WORDS
from trainyard.config.composition import compose
from trainyard.config.format_error import format_error
from trainyard.data.images.image_files import common_shape, read_image
from trainyard.data.loading.spec import Examples
from trainyard.data.loading.splits import check_splits_not_empty
from trainyard.data.sources.table import Table
from trainyard.io.errors import ConfigError
from trainyard.run.compatibility import check_config
from trainyard.sweeps.search_space import SearchSpace, Where

MEMORY_LIMIT = 2 * 2**20  # KiB, in addition to imports; an image at PIL's limit takes half a GiB
FOLDER = Path(tempfile.gettempdir()) / f"trainyard-properties-{os.getpid()}"


def write_file(name: str, content: bytes) -> Path:
    """Write a file, which the next example overwrites."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / name
    path.write_bytes(content)
    return path


def check_message(text: str, prefix: str = "") -> None:
    """Assert that an error message has a few short lines, and is not an unexpected exception."""
    lines = text.splitlines()
    assert text.startswith(prefix)
    assert 1 <= len(lines) <= 5, text
    assert max(map(len, lines)) <= 400, text
    assert "Traceback" not in text
    assert "shows the traceback" not in text, text


@max_examples(40)
@given(st.lists(WORDS, min_size=1, max_size=3))
def test_any_words_compose_or_raise_a_clear_error(words: list[str]) -> None:
    count_example("words")
    with patch.object(sys, "argv", ["train.py", *words]):
        try:
            check_config(compose(words))
        except Exception as error:
            check_message(format_error(error))


@max_examples(60)
@given(st.lists(WORDS, min_size=1, max_size=3), st.booleans())
def test_any_words_define_a_sweep_or_raise_a_clear_error(words: list[str], search: bool) -> None:
    assume(not any("glob(" in word for word in words))  # needs the config groups, which this parser lacks
    count_example("sweeps")
    with patch.object(sys, "argv", ["train.py", "-m", *words]):
        try:
            space = SearchSpace.parse(OverridesParser.create().parse_overrides(words), sampler="any" if search else "")
            assert search or all(len(job) == len(space.values) for job in space.jobs()[:10])
        except (ConfigError, HydraException) as error:
            check_message(format_error(error))


@max_examples(100)
@given(CONDITIONS)
def test_any_condition_is_evaluated_or_raises_a_clear_error(text: str) -> None:
    count_example("conditions")
    try:
        condition = Where(text, {"seed": ["1"], "model": ["mlp"], "optimizer.lr": ["0.1"]})
        assert condition.matches({"seed": "1", "model": "mlp", "optimizer.lr": "0.1"}) in (True, False)
    except ConfigError as error:
        check_message(format_error(error))


def check_rows(path: Path, task: str = "auto") -> dict[str, Examples] | None:
    """Return the examples of a table, or `None` after an error; all numbers must be finite or missing."""
    source = Table(str(path), "kind", task, batch_size=1, test_fraction=0.2, val_fraction=0.2)
    try:
        with patch.object(
            logging.getLogger("trainyard.data.sources.table"), "disabled", True
        ):  # it warns about columns
            splits, spec = source.splits, source.spec
        check_splits_not_empty(splits)
    except ConfigError as error:
        check_message(format_error(error), "data")
        return None
    for part in splits.values():
        assert part.x.shape == (len(part), len(spec.columns))
        assert not torch.isinf(part.x).any()
        assert part.y.isfinite().all()
        if spec.classes and len(part):
            assert 0 <= part.y.min() <= part.y.max() < len(spec.classes)
    assert np.isfinite(spec.mean).all()
    assert np.isfinite(spec.std).all()
    return splits


@max_examples(40)
@given(RAW_TABLES, st.sampled_from([".csv", ".tsv", ".parquet"]))
def test_any_bytes_are_a_table_or_raise_an_error_with_the_file(content: bytes, ending: str) -> None:
    count_example("bytes of tables")
    check_rows(write_file(f"raw{ending}", content))


@max_examples(40)
@given(CELLS, st.sampled_from(",;\t|"), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
def test_every_row_with_a_target_becomes_an_example(rows: list[list[str]], separator: str, quoting: int) -> None:
    count_example("cells of tables")
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=quoting)
    writer.writerows([["kind", "one", "two"], *rows])
    splits = check_rows(write_file("cells.csv", text.getvalue().encode("utf-8", "replace")), "classification")
    if splits is not None:
        assert sum(map(len, splits.values())) == sum(bool(row[0].strip()) for row in rows)


@max_examples(150)
@given(CORRUPT_IMAGES, st.sampled_from([(1, 5, 7), (3, 8, 8)]))
def test_any_image_is_read_or_raises_an_error_with_the_file(content: bytes, shape: tuple[int, int, int]) -> None:
    count_example("images")
    path = write_file("image.png", content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    channels, height, width = common_shape([path], None, None)
    assert channels in (1, 3)
    assert 1 <= min(height, width) <= max(height, width) <= 224
    try:
        pixels = read_image(path, shape)
        assert (pixels.shape, pixels.dtype) == (shape, np.uint8)
    except OSError as error:
        check_message(str(error), f"{path}: ")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_LIMIT
