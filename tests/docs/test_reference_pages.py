"""The reference has every file of `conf/` once, every key of every option, and an explanation of each."""

import re
from itertools import chain
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf
from option_files import Entry, OptionFile, all_files, argument, arguments, explanation, groups, merged, read, summary
from option_pages import pages, with_code_font

from trainyard.config.composition import CONF_DIR
from trainyard.io.errors import ConfigError

OPTIONS = [file.name for file in all_files() if file.name.count("/") == 1]
ROW = re.compile(r"^\| `([^`]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def test_every_file_has_a_section_on_exactly_one_page(made: dict[str, str]) -> None:
    titles = list(chain.from_iterable(re.findall(r"^## (\S+)", made[group], re.MULTILINE) for group in groups()))
    files = [path.relative_to(CONF_DIR).with_suffix("") for path in CONF_DIR.rglob("*.yaml")]
    names = [file.relative_to(file.parts[0]).as_posix() for file in files if len(file.parts) > 1]
    assert sorted(titles) == sorted(names)
    assert set(made) == {"index", "train", *groups()}
    assert set(groups()) == {folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()}


def leaves_of(node: dict, prefix: str = "") -> dict[str, object]:
    """The keys of a config that Hydra has composed, without what says how an object is built."""
    found: dict[str, object] = {}
    for name, value in node.items():
        if isinstance(value, dict) and value:
            found |= leaves_of(value, f"{prefix}{name}.")
        elif name not in ("_target_", "_partial_"):
            found[f"{prefix}{name}"] = value
    return found


def composed(*overrides: str) -> dict:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return OmegaConf.to_container(hydra_compose("train", list(overrides), return_hydra_config=True))


def stated(file: OptionFile) -> dict[str, object]:
    """The values of an option's keys, as the reference shows them."""
    values = {key: OmegaConf.create(f"v: {entry.value}") for key, entry in merged(file).items() if entry.value}
    return {key: OmegaConf.to_container(value)["v"] for key, value in values.items()}


# The others change what these hold.
WHOLE = [name for name in OPTIONS if read(name).package == name.split("/")[0] != "hydra"]


@pytest.mark.parametrize("name", WHOLE)
def test_an_option_has_the_keys_and_values_that_hydra_composes(name: str) -> None:
    group, option = name.split("/")
    assert stated(read(name)) == leaves_of(composed(f"{group}={option}", "~accelerator")[group])


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - set(WHOLE)))
def test_what_an_option_changes_elsewhere_is_what_hydra_composes(name: str) -> None:
    file = read(name)
    cfg = leaves_of(composed(*([] if file.group == "hydra" else [name.replace("/", "=")])))
    values = {file.typed(key): value for key, value in stated(file).items()}
    assert {key: cfg[key] for key in values} == values


@pytest.mark.parametrize("name", OPTIONS)
def test_every_key_of_an_option_is_on_its_page_and_explained(name: str, made: dict[str, str]) -> None:
    file = read(name)
    page = made[file.group]
    rows = {key: meaning for key, _, meaning in ROW.findall(page)}
    section = page.partition(f"## {file.option} {{:")[2].partition("\n## ")[0]
    for key, entry in merged(file).items():
        if key and entry.value:
            assert f"`{file.typed(key)}`" in section
            assert rows[file.typed(key)].partition("<br>")[0].strip()


def test_an_experiment_shows_what_it_chooses_and_the_score_to_expect(made: dict[str, str]) -> None:
    section = made["experiment"].partition("## penguins")[2].partition("\n## ")[0]
    assert "Test accuracy 1.000 ± 0.000 over seeds 0 to 4" in section
    assert "| `data` | [`penguins`](data.md#penguins) |" in section
    assert "| `model.hidden_dims` | `[5, 5]` | neurons in each hidden layer; empty for a linear model" in section


def test_a_key_has_the_comment_or_the_docstring_and_the_range(made: dict[str, str]) -> None:
    assert (
        "| `data.val_fraction` | `0.15` | fraction of train, if the data has no validation split<br>*a number above 0"
        in made["data"]
    )
    inherited = "| `model.label_smoothing` | `0.0` | share of the target spread over all classes"
    assert made["model"].count(inherited) == 4


def test_a_key_without_an_explanation_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = OptionFile("model/mine", header=["Mine."], package="model", entries={"depth": Entry("3")})
    monkeypatch.setattr("option_pages.options_of", lambda group: [bad])
    with pytest.raises(ConfigError, match=r"conf/model/mine\.yaml: model\.depth"):
        pages()


def test_docstrings_of_the_project_of_torch_and_of_lightning_are_read() -> None:
    assert argument("trainyard.models.mlp.MLP", "label_smoothing").startswith("share of the target")  # of its base
    assert argument("torch.optim.Adam", "betas").startswith("coefficients used for computing running averages")
    assert "default" not in argument("torch.optim.Adam", "betas")
    assert argument("lightning.Trainer", "max_epochs") == "Stop training once this number of epochs is reached."
    assert argument("torch.optim.Adam", "no_such") == ""
    assert summary("trainyard.data.sources.builtin.Digits").endswith(".")
    assert arguments("It.\n\nArgs:\n    a, b (int): two\n        words.\n    c: one.\n\nRaises:\n    d: e.") == {
        "a": "two\nwords.",
        "b": "two\nwords.",
        "c": "one.",
    }


def test_a_base_whose_mapping_is_replaced_loses_its_keys() -> None:
    assert "budget.share" in merged(read("callbacks/default"))
    assert "budget.share" not in merged(read("callbacks/pictures"))
    assert explanation(read("sweep/cnn_tpe"), "params.model.dropout").startswith("probability of dropping feature maps")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Use: data=x model.a=[1,2]; behind a plus: +b.c=d.", "Use: `data=x model.a=[1,2]`; behind a plus: `+b.c=d`."),
        ("Without (model.weights=none) no", "Without (`model.weights=none`) no"),
        ("-m a='tag(log,interval(1,2))' `done=1`", "`-m a='tag(log,interval(1,2))' done=1`"),
        ("a sentence of words", "a sentence of words"),
    ],
)
def test_what_is_typed_is_in_code_font(said: str, shown: str) -> None:
    assert with_code_font(said) == shown


def test_no_page_of_the_reference_is_stored() -> None:
    assert not (Path(__file__).parents[2] / "docs" / "reference").exists()
