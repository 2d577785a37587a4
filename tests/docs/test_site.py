"""The documentation builds without warnings as a site, which loads nothing from other servers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_site_contains_guides_pages_and_reference(site: Path) -> None:
    for name in ("index", "howto/own_model", "sweeps", "reference/index", "reference/model", "python"):
        assert (site / f"{name}.html").is_file()
    assert "model.kernel_size" in (site / "reference" / "model.html").read_text(encoding="utf-8")
    text = (site / "python.html").read_text(encoding="utf-8")
    assert 'id="trainyard.run.training.train"' in text
    assert "Train, test and record one experiment" in text


def test_no_page_loads_anything_from_another_server(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(
            r'<(?:link rel="(?:stylesheet|preconnect)"[^>]*href|script[^>]*src|img[^>]*src)="(.*?)"', text
        )
        assert loaded
        assert not [address for address in loaded if re.match(r"(?:https?:)?//", address)]
    assert (site / "search" / "search_index.json").is_file()


def test_fences_of_commands_and_files_are_rendered(site: Path) -> None:
    text = (site / "howto" / "own_model.html").read_text(encoding="utf-8")
    assert '<span class="filename">my_models.py</span>' in text
    assert "```" not in text
    assert "console error" not in text
    assert text.count('<span class="gp">$ </span>') == 3
