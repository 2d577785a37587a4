"""The pages of TensorBoard for a sweep in Chromium; screenshots are saved in docs/images."""

import io
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
REPOSITORY = Path(__file__).parents[2]
IMAGES = REPOSITORY / "docs" / "images"
JOBS = 4
VALIDATION_EXAMPLES = 269  # of the digits
SIZE = {"width": 1300, "height": 860}  # pixels
TIMEOUT = 60_000  # milliseconds


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a sweep of two models and two optimizers."""
    folder = tmp_path_factory.mktemp("sweep") / "first"
    words = ("model=mlp,cnn", "optimizer=sgd,adam", "callbacks=pictures", "trainer.max_epochs=10")
    command = [sys.executable, REPOSITORY / "train.py", "-m", *words, f"hydra.sweep.dir={folder}"]
    subprocess.run(command, check=True, cwd=folder.parent, capture_output=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
def address(sweep: Path) -> Iterator[str]:
    """Serve the sweep with TensorBoard; return the address."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("tensorboard"), "--logdir", sweep, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        yield f"http://localhost:{port}"
        server.terminate()


@pytest.fixture(scope="module")
def page(address: str) -> Iterator["Page"]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "no chromium: `make browser` installs it"
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--enable-unsafe-swiftshader"],  # the Projector needs WebGL
        )
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(TIMEOUT)
        for _ in range(60):
            try:
                page.goto(address)
                break
            except Exception:  # the server has not started yet
                page.wait_for_timeout(1000)
        yield page
        browser.close()


ALL_TEXT = """() => {
    const found = [];
    const collect = node => {
        if (node.shadowRoot) collect(node.shadowRoot);
        for (const child of node.childNodes) {
            if (child.nodeType === Node.TEXT_NODE && child.textContent.trim()) found.push(child.textContent.trim());
            collect(child);
        }
    };
    collect(document.body);
    return found;
}"""  # including shadow DOM


def open_tab(page: "Page", address: str, name: str) -> None:
    page.goto(f"{address}/#{name}")
    page.reload()


def save_screenshot(page: "Page", name: str) -> None:
    """Save a screenshot with 64 colours in docs/images."""
    page.wait_for_timeout(2000)  # until animations end
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(64, dither=Image.Dither.NONE).save(IMAGES / f"tensorboard_{name}.png", optimize=True)


def results_of(sweep: Path) -> list[dict]:
    return [json.loads((sweep / str(job) / "result.json").read_text()) for job in range(JOBS)]


def test_time_series_shows_the_curves_of_all_jobs(page: "Page", address: str) -> None:
    open_tab(page, address, "timeseries")
    for job in range(JOBS):
        page.get_by_text(f"{job}/tensorboard", exact=True).first.wait_for()
    page.get_by_label("Close side pane").click()
    page.get_by_role("combobox", name="Filter tags (regex)").fill("(train|val)/(acc|loss)|norm$|examples")
    page.keyboard.press("Escape")  # closes the list of matches, which covers the charts
    for tag in ("train/loss", "val/loss", "train/acc", "val/acc", "gradient/norm", "speed/examples_per_second"):
        page.locator("scalar-card", has_text=tag).first.wait_for(state="attached")
    save_screenshot(page, "time_series")


def test_images_show_confusion_matrix_mistakes_and_feature_maps(page: "Page", address: str) -> None:
    open_tab(page, address, "images&tagFilter=val/(confusion%7Cmistakes)%7Cfeature_maps/2")
    page.get_by_text("val/confusion_matrix").first.wait_for()
    page.get_by_text("feature_maps/2_block2").first.wait_for()
    page.get_by_text("val/mistakes").first.wait_for()
    page.wait_for_load_state("networkidle")
    loaded = "image => image.complete ? image.naturalWidth : 0"
    images = page.locator("tf-image-loader", has_text="val/confusion_matrix").locator("img")
    assert [image.evaluate(loaded) > 500 for image in images.all()] == [True] * JOBS
    page.get_by_text("val/confusion_matrix").first.scroll_into_view_if_needed()
    save_screenshot(page, "images")


def test_hparams_has_a_session_with_options_and_scores_for_each_run(page: "Page", address: str, sweep: Path) -> None:
    open_tab(page, address, "hparams")
    page.get_by_text("Trial ID").first.wait_for()
    page.get_by_text(f"{JOBS - 1}/tensorboard", exact=True).first.wait_for()
    words = page.evaluate(ALL_TEXT)
    table = words[words.index("Trial ID") : words.index("Color by")]
    assert [word for word in table if word.endswith("/tensorboard")] == [f"{job}/tensorboard" for job in range(JOBS)]
    head = table[: table.index("0/tensorboard")]
    assert head[2:7] == ["model", "optimizer", "optimizer.lr", "trainer.max_epochs", "accelerator"]
    assert {"result/val_acc", "result/test_acc"} <= set(head)
    for result in results_of(sweep):
        assert f"{result['metrics']['val/acc']:.5f}" in table
        assert f"{result['metrics']['test/acc']:.5f}" in table
    page.set_viewport_size({"width": 1700, "height": 480})
    save_screenshot(page, "hparams")
    page.set_viewport_size(SIZE)


def test_projector_shows_an_image_for_each_example(page: "Page", address: str) -> None:
    open_tab(page, address, "projector")
    inner = page.frame_locator("iframe").frame_locator("iframe")
    inner.get_by_text(re.compile(f"Points: {VALIDATION_EXAMPLES}")).first.wait_for()
    inner.get_by_text(re.compile("Total variance described")).first.wait_for()
    page.wait_for_timeout(4000)
    save_screenshot(page, "projector")
    with Image.open(IMAGES / "tensorboard_projector.png") as picture:
        colours = picture.convert("RGB").crop((400, 150, 900, 800)).getcolors(100)
    assert len(colours) > 10, "digits are grey in many shades; an empty plane is white"


def test_custom_scalars_show_train_and_validation_in_one_chart(page: "Page", address: str) -> None:
    open_tab(page, address, "custom_scalars")
    page.get_by_text("train and validation").first.wait_for()
    page.get_by_text(re.compile(rf"Matches \({2 * JOBS}\)")).first.wait_for()
    save_screenshot(page, "custom_scalars")


def test_text_shows_the_scores_of_each_class_and_the_provenance(page: "Page", address: str) -> None:
    open_tab(page, address, "text&tagFilter=per_class%7Cprovenance")
    page.get_by_text("precision").first.wait_for()
    page.get_by_text("torchvision").first.wait_for()
    save_screenshot(page, "text")
