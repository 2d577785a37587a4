"""The model card: its content, escaped names, damaged runs, and code that runs."""

import re
from pathlib import Path

import pytest
import torch
from markdown_it import MarkdownIt

from tests.history.recorded import record
from tests.inference.exportable import build
from trainyard.data.loading.spec import Column, DataSpec
from trainyard.data.loading.target import Classes
from trainyard.inference.export_formats import FORMATS
from trainyard.inference.export_interface import random_inputs
from trainyard.inference.model_card import model_card
from trainyard.models.mlp import MLP
from trainyard.reports.class_predictions import accuracy_interval
from trainyard.terminal.tables import escape_markdown

MARKUP = (
    "[press](javascript:alert(1))",
    "![](http://evil.example/pixel.png)",
    "<script>alert(1)</script>",
    "<http://evil.example>",
    "http://evil.example",
    "www.evil.example",
    "*loud* _and_ __louder__ `code` ~~gone~~ $x$",
    "a|b\n# heading\n- item",
    "back\\|slash &lt; &amp;",
    "right\u202eleft\x1b[31m\x07",
)
SPLIT = {"examples": 51, "classes": 2, "least": 20, "most": 31}


def model_of(classes: tuple[str, ...] = ("low", "high"), columns: tuple[Column, ...] = (Column("x"),)) -> MLP:
    torch.manual_seed(0)
    width = len(columns)
    return MLP(DataSpec((width,), Classes(classes), columns, (3.0,) * width, (2.0,) * width), [3]).eval()


def visible_texts(page: str) -> list[str]:
    """The texts that a reader shows, cell by cell."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(page)
    return ["".join(child.content for child in token.children) for token in tokens if token.type == "inline"]


@pytest.mark.parametrize("name", MARKUP)
def test_markup_in_names_is_shown_literally(name: str) -> None:
    plain = "".join(sign for sign in " ".join(name.split()) if sign.isprintable())
    levels = Column(name, levels=(name, "other"))
    page = model_card(model_of((name, "other"), (levels, Column("x"))), None, {}, "")
    texts = visible_texts(page)
    assert texts.count(plain) == 2, "a class and a column"
    assert f"1 {plain}, 2 other" in texts
    html = MarkdownIt("gfm-like", {"linkify": False}).render(page)
    assert not re.search("<(a|img|script|del|strong|em|hr)[ >]", html)
    assert html.count("<h1>") == 1
    assert "<ul>" not in html.replace("<ul>\n<li>model", "")


def test_addresses_do_not_become_links() -> None:
    assert escape_markdown("http://evil.example www.evil.example") == "http\\://evil.example www\\.evil.example"


def test_card_has_test_examples_and_interval(tmp_path: Path) -> None:
    run = record(tmp_path / "run", 0.8, result={"data": {"fingerprint": {"test": SPLIT}}})
    page = model_card(model_of(), run, {}, "")
    assert "| 0 | low |\n| 1 | high |" in page
    low, high = accuracy_interval(41, 51)
    assert f"95 % interval of test/acc: [{low:.4f}, {high:.4f}] (Wilson, 51 examples)" in page
    assert "examples: test 51" in page
    assert f"commit: {'a' * 40}\n" in page


@pytest.mark.parametrize(
    "result",
    [
        {"data": {"fingerprint": {"test": [1]}}},
        {"data": {"fingerprint": {"test": {"examples": 10**30}}}},
        {"data": {"fingerprint": {"test": {"examples": "many"}}}},
        {"data": [], "metrics": {"test/acc": 7.0, "<b>": 1}},
        {"data": {"fingerprint": {"test": SPLIT}}, "metrics": {"test/acc": float("nan")}},
        {"status": "failed"},
    ],
)
def test_card_of_a_damaged_run_has_no_interval(tmp_path: Path, result: dict[str, object]) -> None:
    run = record(tmp_path / "run", result=result, provenance={"git": ["a"], "packages": 3, "started": {"<b>": 1}})
    page = model_card(model_of(), run, {}, "")
    assert "interval" not in page
    assert "commit: unknown" in page
    assert "<b>" not in page.replace("\\<b\\>", "")


def test_long_tables_are_shortened() -> None:
    columns = tuple(Column(f"c{number}", levels=tuple(f"v{n}" for n in range(60))) for number in range(70))
    page = model_card(model_of(columns=columns), None, {}, "")
    assert "| 49 | c49 |" in page
    assert "c50" not in page
    assert "And 20 more (see the file's metadata)." in page
    assert "50 v49 and 10 more" in page


def test_outputs_are_described_for_each_kind_of_target() -> None:
    card = model_card(build("regression_log"), None, {}, "")
    assert "`predictions`: float32 `[batch, 2]`, in the units of the training data" in card
    assert "| number | target | mean ± std of the logarithm in training |" in card
    assert "| 0 | price | 7 ± 0.5 |\n| 1 | weight | -3 ± 2 |" in card
    card = model_card(build("multilabel"), None, {}, "")
    assert "| 0 | a | 0.5 |\n| 1 | b | 0.25 |\n| 2 | c | 0.75 |" in card
    assert "A label is predicted if its probability is at least its threshold." in card
    assert "always predicts one of its classes" not in card
    own = build("multilabel")
    own.task.thresholds = []  # as in a task of one's own
    assert "| number | label |\n| --- | --- |\n| 0 | a |" in model_card(own, None, {}, "")
    card = model_card(build("binary"), None, {}, "")
    assert "Class 1 is predicted if its probability is at least 0.375, otherwise class 0." in card


def test_scores_of_regression_are_beside_the_baseline(tmp_path: Path) -> None:
    metrics = {"val/loss": 0.25, "val/rmse": 0.000125, "test/loss": 0.5, "test/rmse": 4321.6}
    baseline = {"mean": [4207.06, 0.5], "val/rmse": 800.0, "test/rmse": 812.5, "test/loss": None}
    objective = {"name": "val/rmse", "value": 0.000125, "epoch": 3}
    result = {"metrics": metrics, "baseline": baseline, "objective": objective}
    card = model_card(build("regression"), record(tmp_path / "run", result=result), {}, "")
    rows = card.partition("## Scores\n\n")[2].splitlines()
    assert [row for row in rows if row.startswith("| ")] == [
        "| score | model | baseline |",
        "| --- | --- | --- |",
        "| val/rmse | 0.000125 | 800 |",
        "| test/rmse | 4322 | 812.5 |",
        "| val/loss | 0.25 |  |",
        "| test/loss | 0.5 |  |",
    ]
    assert (
        "The best epoch was selected by val/rmse.\n\nThe baseline is a constant prediction: always the mean 4207;0.5."
        in card
    )


@pytest.mark.parametrize("form", ["onnx", "torch", "safetensors"])
def test_code_of_each_format_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    model = model_of()
    path = tmp_path / f'it\'s "new"{FORMATS[form].suffix}'
    FORMATS[form].write(model, path)
    [snippet] = re.findall(r"```python\n(.*?)```", model_card(model, None, {form: path}, ""), re.DOTALL)
    assert len(snippet.splitlines()) <= 6
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(snippet, names)
    x = torch.as_tensor(names["x"])
    expected = model.predict_step(x, 0).detach()
    torch.testing.assert_close(torch.as_tensor(names["probabilities"]).detach(), expected, atol=1e-5, rtol=0)
    assert random_inputs(model.spec, 2).shape == x.shape
