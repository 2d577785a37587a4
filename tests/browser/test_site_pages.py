"""The documentation in Chromium, with the screen size of a phone."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser
REPOSITORY = Path(__file__).parents[2]
PHONE = {"width": 390, "height": 844}  # pixels


class SilentHandler(SimpleHTTPRequestHandler):
    """Serves a folder without logging."""

    def log_message(self, format: str, *args: object) -> None:
        """Discard the message."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Build and serve the site; return its address."""
    site = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True, timeout=300)
    with ThreadingHTTPServer(("localhost", 0), partial(SilentHandler, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def requested() -> list[str]:
    """Return the list of all requested addresses."""
    return []


@pytest.fixture(scope="module")
def page(requested: list[str]) -> Iterator["Page"]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "no chromium: `make browser` installs it"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=PHONE)
        page.on("request", lambda request: requested.append(request.url))
        yield page
        browser.close()


NAMES = [
    "index",
    "howto/own_images",
    "howto/own_model",
    "reference/index",
    "reference/callbacks",
    "export",
    "benchmarks",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_does_not_scroll_sideways_on_a_phone(page: "Page", address: str, name: str) -> None:
    page.goto(f"{address}/{name}.html")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.evaluate("window.scrollTo(100, 0)")
    assert page.evaluate("window.scrollX") == 0


def is_visible(link: "Locator") -> bool:
    """Whether a link is on the screen."""
    box = link.bounding_box()
    return box is not None and 0 <= box["x"] < PHONE["width"]


def test_navigation_opens_on_a_phone(page: "Page", address: str) -> None:
    page.goto(f"{address}/howto/own_model.html")
    link = page.locator(".md-sidebar--primary").get_by_role("link", name="Your own table")
    assert not is_visible(link)
    page.locator("label.md-header__button[for=__drawer]").click()
    page.wait_for_timeout(500)  # animation
    assert is_visible(link)
    link.click()
    page.wait_for_url("**/own_table.html")
    assert page.get_by_role("heading", level=1).inner_text().startswith("Your own table")


def test_search_finds_cosine(page: "Page", address: str) -> None:
    page.goto(f"{address}/index.html")
    page.locator("label.md-header__button[for=__search]").click()
    page.locator("input.md-search__input").press_sequentially("cosine")
    page.locator(".md-search-result__link mark").first.wait_for()
    first = page.locator(".md-search-result__item").first.inner_text()
    assert first.startswith("scheduler")
    assert "Cosine annealing" in first, "one of the two options with cosine annealing"


def test_copying_a_console_block_copies_only_the_command(page: "Page", address: str) -> None:
    page.goto(f"{address}/index.html")
    copied = """() => {
        const code = document.querySelector("pre code");
        code.setAttribute("data-md-copying", "");
        return code.innerText;
    }"""
    assert page.evaluate(copied).strip() == "python train.py model=cnn optimizer=adam"


def test_nothing_is_requested_from_another_server(page: "Page", address: str, requested: list[str]) -> None:
    page.goto(f"{address}/index.html")
    assert requested
    assert [url for url in requested if not url.startswith((address, "data:", "blob:"))] == []
