"""The check of the documentation reports broken links, missing options and a wrong diagram."""

from pathlib import Path

import pytest
from check_docs import ARCHITECTURE, DOCS, README, check_architecture, check_links, check_readme, count_lines, is_broken
from option_pages import reference_pages


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return reference_pages()


def test_links_to_sections_pages_and_the_reference(tmp_path: Path, reference: dict[str, str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title: of `it`\n\n[a](#a-title-of-it)", encoding="utf-8")
    assert not is_broken(page, "#a-title-of-it", reference)
    assert is_broken(page, "#another", reference)
    assert is_broken(page, "other.md", reference)
    howto = DOCS / "howto" / "own_model.md"
    assert not is_broken(howto, "../reference/model.md#cnn", reference)
    assert is_broken(howto, "../reference/model.md#cnnn", reference)


def test_broken_links_and_missing_paths_are_reported(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](b.png) [c](https://d.org) `conf/train.yaml` `conf/trian.yaml`\n", encoding="utf-8")
    assert list(check_links(page, {})) == ["broken link: b.png", "missing path: conf/trian.yaml"]


def test_files_do_not_count_as_lines_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('a\n\n```python title="b.py"\nc = 1\n\nd = 2\n```\n\n```console\n$ e\n```\n', encoding="utf-8")
    assert count_lines(page) == 7


def test_options_and_cells_that_the_readme_lacks_are_reported() -> None:
    text = README.read_text(encoding="utf-8")
    assert list(check_readme(text)) == []
    assert list(check_readme(text.replace("plateau", ""))) == ["README.md: scheduler=plateau is not listed"]
    [problem] = check_readme(text.replace("| yes | by class path |", "| yes, by class path |"))
    assert "missing rows or cells" in problem


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('optim["<b>optim</b>', 'optimizers["<b>optim</b>', "optim must be a package"),
        ("optim --> config", "config --> optim", "the arrow from config to optim"),
        ("optim --> config", "optim --> parts", "the arrow from optim to parts"),
        ("`run/loops.py`", "`run/loop.py`", "missing path: run/loop.py"),
    ],
)
def test_a_wrong_architecture_page_is_reported(old: str, new: str, problem: str) -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    assert old in text
    assert list(check_architecture(text)) == []
    [found] = check_architecture(text.replace(old, new))
    assert problem in found
