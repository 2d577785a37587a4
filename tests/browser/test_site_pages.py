"""The documentation as a person with a phone sees it, in a real browser."""

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


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the site is served, built for it."""
    site = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True, timeout=300)
    with ThreadingHTTPServer(("localhost", 0), partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def requested() -> list[str]:
    """The addresses that the pages have asked for."""
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


def inside(link: "Locator") -> bool:
    """Whether a link lies on the screen."""
    box = link.bounding_box()
    return box is not None and 0 <= box["x"] < PHONE["width"]


def test_navigation_opens_on_a_phone(page: "Page", address: str) -> None:
    page.goto(f"{address}/howto/own_model.html")
    link = page.locator(".md-sidebar--primary").get_by_role("link", name="Your own table")
    assert not inside(link)
    page.locator("label.md-header__button[for=__drawer]").click()
    page.wait_for_timeout(500)  # it slides in
    assert inside(link)
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
    assert "Cosine annealing" in first, "one of the two options that anneal"


def test_a_copied_console_is_the_command_alone(page: "Page", address: str) -> None:
    page.goto(f"{address}/index.html")
    copied = """() => {
        const code = document.querySelector("pre code");
        code.setAttribute("data-md-copying", "");
        return code.innerText;
    }"""
    assert page.evaluate(copied).strip() == "python train.py model=cnn optimizer=adam"


def test_nothing_came_from_another_server(page: "Page", address: str, requested: list[str]) -> None:
    page.goto(f"{address}/index.html")
    assert requested
    assert [url for url in requested if not url.startswith((address, "data:", "blob:"))] == []
