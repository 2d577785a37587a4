"""What the documentation points to is there: files, pictures, sections, and paths of the repository in code font."""

import re
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify
from option_pages import reference_pages

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((REPOSITORY / "docs").rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)")
REPOSITORY_PATH = re.compile(r"`((?:src|scripts|conf|tests|docs)/[\w./*-]*)(?: [^`]*)?`")
WRITTEN = re.compile(r'^```\w+ title="(.+?)"', re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The names of the sections of a page, as MkDocs and GitHub make them."""
    titles = re.findall(r"^#+ (.*?)(?: \{: #([\w-]+) \})?$", text, re.MULTILINE)
    return {own or slugify(re.sub(r"[`*]", "", title), "-") for title, own in titles}


def missing(page: Path, link: str, generated: dict[str, str]) -> bool:
    """Whether a relative link leads nowhere."""
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if target.parent == REPOSITORY / "docs" / "reference":
        text = generated.get(target.stem)
    else:
        text = prose(target) if target.suffix == ".md" and target.is_file() else "" if target.exists() else None
    return text is None or (bool(anchor) and anchor not in anchors(text))


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return reference_pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_and_pictures_lead_somewhere(page: Path, generated: dict[str, str]) -> None:
    links = [link for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]
    assert [link for link in links if missing(page, link, generated)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_paths_of_the_repository_are_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        pytest.skip("it tells of files that were")
    own = WRITTEN.findall(page.read_text(encoding="utf-8"))
    paths = {path.rstrip(".") for path in REPOSITORY_PATH.findall(prose(page))} - set(own)
    assert [path for path in sorted(paths) if not any(REPOSITORY.glob(path.rstrip("/")))] == []


def test_what_is_missing_is_noticed(tmp_path: Path, generated: dict[str, str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title: of `it`\n\n[a](#a-title-of-it)", encoding="utf-8")
    assert not missing(page, "#a-title-of-it", generated)
    assert missing(page, "#another", generated)
    assert missing(page, "other.md", generated)
    howto = REPOSITORY / "docs" / "howto" / "own_model.md"
    assert not missing(howto, "../reference/model.md#cnn", generated)
    assert missing(howto, "../reference/model.md#cnnn", generated)


def test_pictures_of_the_guides_are_small() -> None:
    pictures = list((REPOSITORY / "docs" / "howto" / "images").glob("*"))
    assert pictures
    assert all(picture.stat().st_size < 80_000 for picture in pictures)


@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs" / "howto").glob("*.md")), ids=lambda page: page.stem)
def test_a_guide_is_short(page: Path) -> None:
    assert len(page.read_text(encoding="utf-8").splitlines()) <= 70
