"""The page in a real Chromium against the real server: what a person draws is what the models answer."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from modelyard.inference.doubts.images import OPPOSITE_BORDERS
from modelyard.inference.session import classify, open_session
from modelyard.samples import ImageForm
from modelyard.samples.image import picture_pixels, read_image
from modelyard.samples.reading import FITS, Reading
from tests.serving.bundles import Linear, point, release, reseal
from tests.serving.conftest import running
from tests.serving.text_bundles import Counts, release_texts

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine; apt-get install chromium"
)
DIGITS = tuple("0123456789")
METRICS = {
    "test/accuracy": 0.9,
    "test/accuracy_low": 0.85,
    "test/accuracy_high": 0.95,
    "test/nll": 0.3,
    "test/ece": 0.02,
    "test/ece_before_temperature": 0.05,
    "model/parameters": 7850.0,
    "onnx/bytes": 32_000.0,
}
ARCHITECTURES = ("cnn", "rnn", "transformer")
BOARD = "#drawing"


def reader_of_digits(strength: float) -> Linear:
    """Logistic regression on scikit-learn's digits, at 28x28: weak, but it can read."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    digits = load_digits()
    pixels_BHW = (digits.images * 15.9375).astype(np.uint8)
    large_BHW = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR))
            for image in pixels_BHW
        ]
    )
    fitted = LogisticRegression(C=strength, fit_intercept=False, max_iter=60, tol=1e-2)
    fitted.fit(large_BHW.reshape(len(large_BHW), -1) / 255, digits.target)
    return Linear(fitted.coef_.T.astype(np.float32), (28, 28, 1))


def publish(
    releases: Path, model: str, version: int, linear: Linear, classes: tuple[str, ...], architecture: str
) -> None:
    """A release with class names and a card."""
    graph = linear.graph(classes=len(classes))
    folder = release(
        releases, version, linear, architecture, model=model, graph=graph, architecture=architecture
    )
    reseal(folder, classes=classes, metrics=METRICS | {OPPOSITE_BORDERS: 0.0}, reading=Reading(ground=(0,)))


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three readers of digits, two of letters, one model of colours that tells which channel is the
    brightest.
    """
    folder = tmp_path_factory.mktemp("releases")
    for version, architecture in enumerate(ARCHITECTURES, 1):
        publish(folder, "digits", version, reader_of_digits(10.0**-version), DIGITS, architecture)
    brightest = Linear(np.tile(np.eye(3, dtype=np.float32) / 20, (9 * 12, 1)), (9, 12, 3))
    publish(folder, "paints", 1, brightest, ("red", "green", "blue"), "cnn")
    for model in ("digits", "paints"):
        point(folder, model, "champion", 1)
    release_texts(folder, 1, Counts(), "champion", "cnn", architecture="text-cnn")
    release_texts(folder, 2, Counts(0.1), "transformer", architecture="text-transformer", encoding="bytes")
    return folder


@pytest.fixture(scope="module")
def address(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(
        releases, tmp_path_factory.mktemp("page") / "log", "--workers", "1", "--allow-load"
    ) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        rebound = "--host-resolver-rules=MAP evil.example 127.0.0.1"
        made = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", rebound]
        )
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page with its cards, on a desk; it must not complain on the console."""
    with opened(browser, address, viewport={"width": 1280, "height": 900}) as made:
        yield made


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    context = browser.new_context(**options)
    made = context.new_page()
    complaints: list[str] = []
    made.on("console", lambda message: complaints.append(f"{message.text} {message.location}"))
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.goto(address)
    expect(made.locator(".card")).to_have_count(3)
    yield made
    context.close()
    assert complaints == []


def draw(page: Page, *points: tuple[float, float]) -> None:
    """One stroke with the mouse; coordinates are shares of the drawing area."""
    box = page.locator(BOARD).bounding_box()
    assert box is not None
    positions = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*positions[0])
    page.mouse.down()
    for position in positions[1:]:
        page.mouse.move(*position, steps=5)
    page.mouse.up()


class Sent:
    """What the page sends to the models from now on."""

    def __init__(self, page: Page) -> None:
        self.requests: list[Request] = []
        page.on(
            "request", lambda request: self.requests.append(request) if request.method == "POST" else None
        )

    def last_pixels(self, name: str) -> NDArray[np.uint8]:
        """[1, H, W, C] of the newest request to one model."""
        body = next(one.post_data for one in reversed(self.requests) if f"/{name}/infer" in one.url)
        assert body is not None
        (tensor,) = json.loads(body)["inputs"]
        return np.array(tensor["data"], np.uint8).reshape(tensor["shape"])


def settled(page: Page) -> None:
    """Every card has answered the last change."""
    expect(page.locator(".card.answered")).to_have_count(page.locator(".card").count())
    expect(page.locator("#cards")).to_have_attribute("aria-busy", "false")


def test_a_drawing_is_answered_by_every_served_model(page: Page, releases: Path) -> None:
    sent = Sent(page)
    draw(page, (0.52, 0.15), (0.5, 0.85))
    settled(page)
    for version, architecture in enumerate(ARCHITECTURES, 1):
        pixels_1HWC = sent.last_pixels("digits" if version == 1 else f"digits-{architecture}")
        assert pixels_1HWC.shape == (1, 28, 28, 1)
        probabilities_K = classify(
            open_session(releases / "digits" / str(version) / "model.onnx"), pixels_1HWC
        )[0]
        card = page.locator(".card").nth(version - 1)
        assert card.locator(".best").inner_text() == DIGITS[probabilities_K.argmax()]
        shown = [float(text.strip("<>%\u00a0")) for text in card.locator(".share").all_inner_texts()]
        np.testing.assert_allclose(shown, 100 * probabilities_K, atol=0.1)
        assert re.fullmatch(r"\d+\.\d ms", card.locator(".ms").inner_text())
    assert page.locator(".card").first.locator("li.champion").inner_text() == "champion"
    assert "85.00–95.00" in page.locator(".card").first.inner_text()


def test_the_drawing_fills_the_frame_of_digits_wherever_it_was_drawn(page: Page) -> None:
    """The same stroke, small in a corner and large in the middle, gives the same pixels."""
    sent = Sent(page)
    drawn: list[NDArray[np.uint8]] = []
    for points in ([(0.2, 0.2), (0.8, 0.8)], [(0.1, 0.1), (0.3, 0.3)]):
        page.get_by_role("button", name="Clear").click() if drawn else None
        draw(page, *points)
        settled(page)
        drawn.append(sent.last_pixels("digits")[0, :, :, 0])
    assert np.abs(drawn[0].astype(int) - drawn[1]).max() <= 24
    rows, columns = np.nonzero(drawn[0])
    assert rows.min() == columns.min() == 0
    assert rows.max() == columns.max() == 27


def test_the_keyboard_alone_gets_an_answer(page: Page) -> None:
    page.locator(BOARD).focus()
    page.keyboard.press("Space")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    settled(page)
    expect(page.get_by_role("status")).to_have_text(re.compile("^(All 3 models say|The models disagree)"))
    page.keyboard.press("Backspace")
    expect(page.locator("#verdict")).to_have_text("Waiting for a drawing")
    hits = 0
    for digit in DIGITS:
        button = page.get_by_role("button", name=f"Draw a {digit}")
        button.focus()
        page.keyboard.press("Enter")
        settled(page)
        hits += page.locator(".card").first.locator(".best").inner_text() == digit
        page.locator("#clear").click()
    assert hits >= 7, "the samples have to look like digits"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, address: str, scheme: Any) -> None:
    options = {
        "viewport": {"width": 360, "height": 740},
        "has_touch": True,
        "is_mobile": True,
        "color_scheme": scheme,
    }
    with opened(browser, address, **options) as page:
        page.locator(BOARD).tap()
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator("#verdict").is_visible()
        assert Axe().run(page).violations_count == 0


def test_a_picture_becomes_the_pixels_of_the_command_line(page: Page, tmp_path: Path) -> None:
    picture = tmp_path / "noise.png"
    pixels_HWC = np.random.default_rng(0).integers(0, 256, (53, 71, 3), np.uint8)
    pixels_HWC[..., 0] |= 0xC0
    Image.fromarray(pixels_HWC).save(picture)
    sent = Sent(page)
    for dataset, form, cards in (("digits", ImageForm(1, 28, 28), 3), ("paints", ImageForm(3, 9, 12), 1)):
        page.locator("#dataset").select_option(dataset)
        expect(page.locator(".card")).to_have_count(cards)
        page.locator("#file").set_input_files(picture)
        settled(page)
        _, expected_CHW = read_image(picture, form)
        difference = sent.last_pixels(dataset)[0].astype(int) - expected_CHW.transpose(1, 2, 0)
        assert np.abs(difference).max() <= 1
    assert page.locator(".best").inner_text() == "red"
    assert page.locator("#samples").is_hidden()


def test_a_picture_is_fitted_and_laid_on_the_ground_as_on_the_command_line(page: Page) -> None:
    cases = [
        *product(FITS, [(71, 53), (53, 71), (9, 12), (3, 2)], [1, 3], [False]),
        *product(FITS, [(71, 53)], [1, 3], [True]),
    ]
    for fit, (width, height), channels, is_inverted in cases:
        pixels_HWC = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
        pixels_HWC[..., 3] = np.where(pixels_HWC[..., 3] > 60, 255, 0)
        reading = Reading(fit, ground=(10, 200, 30)[:channels])
        how = reading.inverted() if is_inverted else reading
        expected_HWC = picture_pixels(Image.fromarray(pixels_HWC), ImageForm(channels, 9, 12), how)
        expected_HWC = 255 - expected_HWC if is_inverted else expected_HWC
        found = page.evaluate(
            """async ([data, width, height, shape, reading, invert]) => {
                const { pixelsOfPicture } = await import("/assets/pixels.js");
                const picture = await createImageBitmap(
                    new ImageData(Uint8ClampedArray.from(data), width, height));
                return Array.from(pixelsOfPicture(picture, shape, reading, invert));
            }""",
            [pixels_HWC.ravel().tolist(), width, height, [9, 12, channels], asdict(reading), is_inverted],
        )
        difference = np.array(found).reshape(expected_HWC.shape) - expected_HWC.astype(int)
        assert np.abs(difference).max() <= 1, (fit, width, height, channels)


def test_a_picture_that_looks_inverted_is_told(page: Page, tmp_path: Path) -> None:
    picture = Image.new("L", (56, 56), 255)
    picture.paste(0, (20, 8, 30, 48))
    picture.save(tmp_path / "inverted.png")
    page.locator("#file").set_input_files(tmp_path / "inverted.png")
    settled(page)
    expect(page.locator("#doubt")).to_have_text(re.compile("looks inverted: its border is bright"))
    page.locator("#invert").check()
    expect(page.locator("#doubt")).to_be_hidden()
    page.locator("#invert").uncheck()
    expect(page.locator("#doubt")).to_be_visible()
    page.get_by_role("button", name="Draw a 3").click()
    expect(page.locator("#doubt")).to_be_hidden()


def test_what_is_no_picture_is_told(page: Page, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("not a picture")
    page.locator("#file").set_input_files(tmp_path / "note.png")
    expect(page.get_by_role("alert")).to_have_text(
        "note.png is not a picture this browser can read; choose a PNG or JPEG."
    )


def test_a_text_is_answered_by_every_served_model(page: Page, tmp_path: Path) -> None:
    """As it is written, pasted or opened; strings and bytes alike."""
    page.locator("#dataset").select_option("letters")
    expect(page.locator(".card h3")).to_have_text(["CNN", "Transformer"])
    expect(page.locator("#pictures")).to_be_hidden()
    expect(page.locator("#verdict")).to_have_text("Waiting for a text")
    (tmp_path / "note.txt").write_bytes("dad, a\u0301 中文\n".encode())
    for given in ("a cab\nof ants", "bb 🎈 bb", "", "dad, á 中文\n"):
        if given.startswith("dad"):
            page.locator("#text-file").set_input_files(tmp_path / "note.txt")
        else:
            page.get_by_role("textbox", name="Write here").fill(given)
        if not given:
            expect(page.locator(".card.answered")).to_have_count(0)
            continue
        settled(page)
        for card, weight in zip(page.locator(".card").all(), (0.25, 0.1), strict=True):
            (expected_K,) = Counts(weight).probabilities([given])
            shown = [float(share.strip("<>%\u00a0")) for share in card.locator(".share").all_inner_texts()]
            np.testing.assert_allclose(shown, 100 * expected_K, atol=0.1)
    expect(page.locator("#count")).to_have_text("10 characters")
    page.locator("#text").fill("d" * 70)
    expect(page.locator("#count")).to_have_text("70 characters; the models read the first 64")
    page.locator("#clear-text").click()
    expect(page.locator("#verdict")).to_have_text("Waiting for a text")
    page.locator("#dataset").select_option("digits")
    expect(page.locator("#texts")).to_be_hidden()
    draw(page, (0.52, 0.15), (0.5, 0.85))
    settled(page)


def test_what_is_no_text_is_told(page: Page, tmp_path: Path) -> None:
    page.locator("#dataset").select_option("letters")
    (tmp_path / "old.txt").write_bytes("café".encode("latin-1"))
    page.locator("#text-file").set_input_files(tmp_path / "old.txt")
    told = "old.txt is not a text in UTF-8; choose another file."
    expect(page.get_by_role("alert")).to_have_text(told)


def test_texts_on_a_phone(browser: Browser, address: str) -> None:
    options = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with opened(browser, address, **options) as page:
        page.locator("#dataset").select_option("letters")
        page.locator("#text").fill("a bad cab")
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator("#verdict").is_visible()
        assert Axe().run(page).violations_count == 0


def test_a_promotion_shows_without_reloading_and_a_lost_server_is_told(
    browser: Browser, releases: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(releases, tmp_path / "releases")
    with running(moved, tmp_path / "log", "--workers", "1", "--poll-s", "0.05") as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        expect(page.locator(".card h3")).to_have_text(["CNN", "RNN", "Transformer"])
        point(moved, "digits", "champion", 3)
        # as when the tab comes to the front
        look_again = "() => document.dispatchEvent(new Event('visibilitychange'))"
        champion = page.locator(".card", has=page.locator(".champion")).locator("h3")
        for _ in range(100):
            page.evaluate(look_again)
            if champion.inner_text() == "Transformer":
                break
            page.wait_for_timeout(50)
        expect(champion).to_have_text("Transformer")
    draw(page, (0.5, 0.2), (0.5, 0.8))
    expect(page.get_by_role("alert")).to_contain_text("No answer from the server")
    context.close()


def test_a_token_is_asked_for_once(browser: Browser, releases: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("open-sesame\n")
    tokens.chmod(0o600)
    with running(releases, tmp_path / "log", "--workers", "1", "--token-file", str(tokens)) as server:
        page = browser.new_page()
        page.goto(server.url)
        page.get_by_label("This server asks for a token").fill("open-sesame")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator(".card")).to_have_count(3)
        expect(page.locator("#token-form")).to_be_hidden()
        page.close()


ATTACK = """async (server) => {
    const unload = (mode) => fetch(
        `${server}/v2/repository/models/digits/unload`, {method: "POST", body: "{}", mode});
    const told = (answer) => answer.then(
        (one) => one.type === "opaque" ? "opaque" : one.status, () => "unreadable");
    return Promise.all([told(fetch(`${server}/models`)), told(unload("cors")), told(unload("no-cors"))]);
}"""


def test_a_page_of_another_origin_neither_reads_nor_orders(browser: Browser, address: str) -> None:
    """H4, W1: even where everybody may load and unload."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        assert page.evaluate(ATTACK, address) == ["unreadable", "unreadable", "opaque"]
        page.close()
        other.shutdown()
    assert httpx.get(f"{address}/v2/models/digits/ready").status_code == 200


def test_a_page_under_a_name_that_leads_here_gets_the_refusal(browser: Browser, address: str) -> None:
    """H4: DNS rebinding as a browser does it: the page's own name resolves to this machine."""
    page = browser.new_page()
    answer = page.goto(address.replace("127.0.0.1", "evil.example"))
    assert answer is not None and answer.status == 421
    assert page.evaluate(ATTACK, "") == [421] * 3
    page.close()
    assert httpx.get(f"{address}/v2/models/digits/ready").status_code == 200
