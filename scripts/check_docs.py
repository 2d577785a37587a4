"""Check the text of the documentation: `python scripts/check_docs.py`, part of `make check`.

Links, pictures and paths must exist. README and guides must be short, the README must list every option, and the
architecture page must show the packages and files of the source code. Commands in pages are executed by the tests.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from markdown.extensions.toc import slugify  # type: ignore[import-untyped]
from option_pages import reference_pages

from trainyard.config.composition import load_options

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src" / "trainyard"
DOCS = REPOSITORY / "docs"
README, ARCHITECTURE, CHANGELOG = REPOSITORY / "README.md", DOCS / "architecture.md", REPOSITORY / "CHANGELOG.md"
PAGES = [README, REPOSITORY / "CONTRIBUTING.md", CHANGELOG, *sorted(DOCS.rglob("*.md"))]
README_LINES, GUIDE_LINES, GUIDE_PICTURE_BYTES = 150, 70, 80_000
README_GROUPS = (
    *("data", "model", "optimizer", "scheduler", "finetune", "augment", "accelerator", "trainer", "callbacks"),
    *("logger", "debug", "experiment"),
)
LINK = re.compile(r"\]\(([^)\s]+)[^)]*\)")
REPOSITORY_PATH = re.compile(r"`((?:src|scripts|conf|tests|docs)/[\w./*-]*)(?: [^`]*)?`")
EXAMPLE_FILE = re.compile(r'^```\w+ title="(.+?)".*?^```$', re.MULTILINE | re.DOTALL)


def read_page(page: Path) -> str:
    """Return a page without its fenced code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def section_anchors(text: str) -> set[str]:
    """Return the anchors of the sections of a page, as MkDocs and GitHub name them."""
    titles = re.findall(r"^#+ (.*?)(?: \{: #([\w-]+) \})?$", text, re.MULTILINE)
    return {anchor or slugify(re.sub(r"[`*]", "", title), "-") for title, anchor in titles}


def is_broken(page: Path, link: str, reference: Mapping[str, str]) -> bool:
    """Whether the target of a relative link does not exist."""
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if target.parent == DOCS / "reference":
        text = reference.get(target.stem)
    elif target.suffix == ".md" and target.is_file():
        text = read_page(target)
    else:
        text = "" if target.exists() else None
    return text is None or (bool(anchor) and anchor not in section_anchors(text))


def check_links(page: Path, reference: Mapping[str, str]) -> Iterator[str]:
    """Yield broken links and pictures, and paths in code font that do not exist."""
    text = read_page(page)
    links = [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]
    yield from (f"broken link: {link}" for link in links if is_broken(page, link, reference))
    if page != CHANGELOG:  # it names removed files
        examples = EXAMPLE_FILE.findall(page.read_text(encoding="utf-8"))
        paths = {path.rstrip("./") for path in REPOSITORY_PATH.findall(text)} - set(examples)
        yield from (f"missing path: {path}" for path in sorted(paths) if not any(REPOSITORY.glob(path)))


def count_lines(page: Path) -> int:
    """Return the number of lines of a page without those of the files that it shows."""
    return len(EXAMPLE_FILE.sub("", page.read_text(encoding="utf-8")).splitlines())


def check_lengths() -> Iterator[str]:
    """Yield pages that are too long, and pictures that are too large."""
    limits = {README: README_LINES, **dict.fromkeys((DOCS / "howto").glob("*.md"), GUIDE_LINES)}
    for page, limit in limits.items():
        if (lines := count_lines(page)) > limit:
            yield f"{page.relative_to(REPOSITORY)}: {lines} lines, at most {limit} are allowed"
    for picture in (DOCS / "howto" / "images").glob("*"):
        if (size := picture.stat().st_size) >= GUIDE_PICTURE_BYTES:
            yield f"{picture.relative_to(REPOSITORY)}: {size} bytes, at most {GUIDE_PICTURE_BYTES} are allowed"


def check_readme(text: str) -> Iterator[str]:
    """Yield options that the README does not list in the row of their group, and incomplete rows of the comparison."""
    lines = text.splitlines()
    for group in README_GROUPS:
        row = next((line for line in lines if line.startswith("|") and f"`{group}`" in line), "")
        missing = set(load_options(group)) - {"shared"} - set(re.findall(r"\w+", row))
        yield from (f"README.md: {group}={option} is not listed" for option in sorted(missing))
    comparison = text.partition("## Comparison with other tools")[2].partition("\n## ")[0]
    rows = [line for line in comparison.splitlines() if line.startswith("|")][2:]
    if len(rows) < 8 or any(row.count("|") != 7 for row in rows):
        yield "README.md: the comparison with other tools has missing rows or cells"


def check_architecture(text: str) -> Iterator[str]:
    """Yield packages that the diagram lacks, arrows that do not point downwards, and files that do not exist."""
    contract = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8").partition("layers = [")[2].partition("]")[0]
    layers = re.findall(r'"(\w+)"', contract)
    packages = {path.name for path in SOURCE.iterdir() if path.is_dir()} - {"__pycache__"}
    boxes = re.findall(r'^ +(\w+)\["<b>\1</b>', text, re.MULTILINE)
    for name in sorted({*layers, *packages, *boxes}):
        if not (name in layers and name in packages and boxes.count(name) == 1):
            yield f"docs/architecture.md: {name} must be a package, a layer and a box of the diagram"
    chains = [line.split(" --> ") for line in text.splitlines() if " --> " in line]
    arrows = [(upper.strip(), lower.strip()) for chain in chains for upper, lower in pairwise(chain)]
    for upper, lower in arrows:
        if not {upper, lower} <= set(layers) or layers.index(upper) >= layers.index(lower):
            yield f"docs/architecture.md: the arrow from {upper} to {lower} does not point downwards"
    if not arrows:
        yield "docs/architecture.md: the diagram has no arrows"
    paths = set(re.findall(r"`([\w/.]+/[\w.]+)(?:: [^`]*)?`", text))
    for path in sorted(path for path in paths if not re.search("[A-Z]{4}", path)):
        if not any((folder / path).exists() for folder in (REPOSITORY, SOURCE)):
            yield f"docs/architecture.md: missing path: {path}"


def main() -> None:
    """Print all problems; exit with 1 if there are any."""
    reference = reference_pages()
    problems = [
        f"{page.relative_to(REPOSITORY)}: {problem}" for page in PAGES for problem in check_links(page, reference)
    ]
    problems += check_lengths()
    problems += check_readme(README.read_text(encoding="utf-8"))
    problems += check_architecture(ARCHITECTURE.read_text(encoding="utf-8"))
    print(*problems, sep="\n", end="\n" * bool(problems))
    print(f"{len(PAGES)} pages, {len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
