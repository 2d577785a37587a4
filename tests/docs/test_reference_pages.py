"""The reference describes every file in `conf/` and every key of every option once."""

import re
from itertools import chain
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf
from option_files import (
    Entry,
    OptionFile,
    all_files,
    config_groups,
    describe_argument,
    docstring_summary,
    explain,
    merged_entries,
    parse_arguments,
    read_option,
)
from option_pages import reference_pages, with_code_font

from trainyard.config.composition import CONF_DIR
from trainyard.io.errors import ConfigError

OPTIONS = [file.name for file in all_files() if file.name.count("/") == 1]
ROW = re.compile(r"^\| `([^`]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference_pages()


def test_every_file_has_a_section_on_exactly_one_page(pages: dict[str, str]) -> None:
    titles = list(
        chain.from_iterable(re.findall(r"^## (\S+)", pages[group], re.MULTILINE) for group in config_groups())
    )
    files = [path.relative_to(CONF_DIR).with_suffix("") for path in CONF_DIR.rglob("*.yaml")]
    names = [file.relative_to(file.parts[0]).as_posix() for file in files if len(file.parts) > 1]
    assert sorted(titles) == sorted(names)
    assert set(pages) == {"index", "train", *config_groups()}
    assert set(config_groups()) == {folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()}


def flatten(node: dict, prefix: str = "") -> dict[str, object]:
    """Return the keys and values of a composed config, without Hydra's own keys."""
    found: dict[str, object] = {}
    for name, value in node.items():
        if isinstance(value, dict) and value:
            found |= flatten(value, f"{prefix}{name}.")
        elif name not in ("_target_", "_partial_"):
            found[f"{prefix}{name}"] = value
    return found


def hydra_config(*overrides: str) -> dict:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return OmegaConf.to_container(hydra_compose("train", list(overrides), return_hydra_config=True))


def documented_values(file: OptionFile) -> dict[str, object]:
    """Return the values of the keys of an option, as in the reference."""
    values = {key: OmegaConf.create(f"v: {entry.value}") for key, entry in merged_entries(file).items() if entry.value}
    return {key: OmegaConf.to_container(value)["v"] for key, value in values.items()}


# The other options change values of several groups.
OWN_PACKAGE = [name for name in OPTIONS if read_option(name).package == name.split("/")[0] != "hydra"]


@pytest.mark.parametrize("name", OWN_PACKAGE)
def test_an_option_has_the_keys_and_values_that_hydra_composes(name: str) -> None:
    group, option = name.split("/")
    assert documented_values(read_option(name)) == flatten(hydra_config(f"{group}={option}", "~accelerator")[group])


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - set(OWN_PACKAGE)))
def test_an_option_changes_the_values_of_other_groups_as_hydra_composes_them(name: str) -> None:
    file = read_option(name)
    cfg = flatten(hydra_config(*([] if file.group == "hydra" else [name.replace("/", "=")])))
    values = {file.full_key(key): value for key, value in documented_values(file).items()}
    assert {key: cfg[key] for key in values} == values


@pytest.mark.parametrize("name", OPTIONS)
def test_every_key_of_an_option_is_on_its_page_and_explained(name: str, pages: dict[str, str]) -> None:
    file = read_option(name)
    page = pages[file.group]
    rows = {key: meaning for key, _, meaning in ROW.findall(page)}
    section = page.partition(f"## {file.option} {{:")[2].partition("\n## ")[0]
    for key, entry in merged_entries(file).items():
        if key and entry.value:
            assert f"`{file.full_key(key)}`" in section
            assert rows[file.full_key(key)].partition("<br>")[0].strip()


def test_an_experiment_shows_its_options_and_its_expected_score(pages: dict[str, str]) -> None:
    section = pages["experiment"].partition("## penguins")[2].partition("\n## ")[0]
    assert "Test accuracy 1.000 ± 0.000 over seeds 0 to 4" in section
    assert "| `data` | [`penguins`](data.md#penguins) |" in section
    assert "| `model.hidden_dims` | `[5, 5]` | neurons in each hidden layer; empty for a linear model" in section


def test_a_key_has_its_comment_or_docstring_and_its_accepted_values(pages: dict[str, str]) -> None:
    assert (
        "| `data.val_fraction` | `0.15` | fraction of train, if the data has no validation split<br>*a number above 0"
        in pages["data"]
    )
    inherited = "| `model.label_smoothing` | `0.0` | share of the target spread over all classes"
    assert pages["model"].count(inherited) == 6


def test_a_key_without_an_explanation_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = OptionFile("model/mine", header=["Mine."], package="model", entries={"depth": Entry("3")})
    monkeypatch.setattr("option_pages.group_options", lambda group: [bad])
    with pytest.raises(ConfigError, match=r"conf/model/mine\.yaml: model\.depth"):
        reference_pages()


def test_docstrings_of_the_project_of_torch_and_of_lightning_are_read() -> None:
    assert describe_argument("trainyard.models.mlp.MLP", "label_smoothing").startswith(
        "share of the target"
    )  # from its base class
    assert describe_argument("torch.optim.Adam", "betas").startswith("coefficients used for computing running averages")
    assert "default" not in describe_argument("torch.optim.Adam", "betas")
    assert (
        describe_argument("lightning.Trainer", "max_epochs") == "Stop training once this number of epochs is reached."
    )
    assert describe_argument("torch.optim.Adam", "no_such") == ""
    assert docstring_summary("trainyard.data.sources.builtin.Digits").endswith(".")
    assert parse_arguments("It.\n\nArgs:\n    a, b (int): two\n        words.\n    c: one.\n\nRaises:\n    d: e.") == {
        "a": "two\nwords.",
        "b": "two\nwords.",
        "c": "one.",
    }


def test_a_base_whose_mapping_is_replaced_loses_its_keys() -> None:
    assert "budget.share" in merged_entries(read_option("callbacks/default"))
    assert "budget.share" not in merged_entries(read_option("callbacks/pictures"))
    assert explain(read_option("sweep/cnn_tpe"), "params.model.dropout").startswith(
        "probability of dropping feature maps"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Use: data=x model.a=[1,2]; behind a plus: +b.c=d.", "Use: `data=x model.a=[1,2]`; behind a plus: `+b.c=d`."),
        ("Without (model.weights=none) no", "Without (`model.weights=none`) no"),
        ("-m a='tag(log,interval(1,2))' `done=1`", "`-m a='tag(log,interval(1,2))' done=1`"),
        ("a sentence of words", "a sentence of words"),
    ],
)
def test_words_of_commands_are_in_code_font(text: str, expected: str) -> None:
    assert with_code_font(text) == expected


def test_the_reference_is_not_stored() -> None:
    assert not (Path(__file__).parents[2] / "docs" / "reference").exists()
