"""The app in a real browser: drawn and readable in light and dark and on a phone, nobody else is asked, and a link shows what was sent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from app.contents import PAGES
from tests.app.serving import serving
from tests.ports import free_port
from tests.report.recorded import HOSTILE, Recorder, record_hostile, record_loop

pytestmark = pytest.mark.browser

THEIRS = {"list", "listitem", "scrollable-region-focusable"}
"""Findings in Streamlit's own navigation and grid."""


@pytest.fixture(scope="module")
def browser(require: Callable[..., None]) -> Iterator[Browser]:
    name = "chromium" if shutil.which("chromium") else "chromium-browser"
    require(name)
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=shutil.which(name), args=flags)
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app served as `loopwright app` serves it, over a loop whose text is hostile."""
    folder = tmp_path_factory.mktemp("served")
    root = record_hostile(folder / "lab")
    with serving(repository, root, folder / "log", free_port()) as served:
        yield served


def settled(page: Page, address: str, heading: str) -> None:
    page.goto(address)
    page.get_by_role("heading", level=1, name=heading).wait_for(timeout=90_000)
    drawn = {"Decisions": "[data-testid=stAlert]", "Controls": "[data-testid=stMetric]"}.get(
        heading, "[data-testid=stDataFrame] canvas, .listing a, [data-testid=stMain] [data-testid=stAlert]"
    )
    page.locator(drawn).first.wait_for(timeout=60_000)
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')", timeout=60_000)


HEADINGS = {
    "overview": "Overview of lab",
    "cycles": "Cycles of lab",
    "cycle": "Cycle c0003",
    "builder": "Who is checking",
    "lineage": "Lineage of c0002/model",
    "recall": "what would it reach?",
    "audit": "Audit log",
    "data": "Rows of c0002",
    "reports": "Reports",
    "alerts": "Alerts",
    "settings": "Settings",
    "decisions": "Decisions",
    "controls": "Controls",
}
ASKED = {"recall": "recall?what=c0001/accepted", "audit": "audit?entry=7"}
"""Where a page alone shows little."""


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_every_page_is_drawn_asks_nobody_else_and_can_be_read(address: str, browser: Browser, scheme: str) -> None:
    asked: set[str] = set()
    said: list[str] = []
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1360, "height": 1400}, locale="en-GB")
    page = context.new_page()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc or request.url[:20]))
    page.on("pageerror", lambda error: said.append(str(error)))
    for one in PAGES:
        settled(page, f"{address}/{ASKED.get(one.name, one.name) if one != PAGES[0] else ''}", HEADINGS.get(one.name, ""))
        found = [
            (item["id"], item["nodes"][0]["html"][:200])
            for item in Axe().run(page).response["violations"]
            if item["impact"] in {"critical", "serious"}
        ]
        assert [item for item in found if item[0] not in THEIRS] == [], one.name
        assert page.locator("img[src=x], a[href*='example.org'], strong:has-text('bold'), .katex").count() == 0, (
            "text stays text"
        )
    settled(page, address, "Overview of lab")
    assert page.locator("[data-testid=stText], [data-testid=stCode]", has_text=HOSTILE).count() >= 2, (
        "reasons and failure, as they were written"
    )
    assert page.evaluate("document.fonts.check('15px Inter')")
    ground = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 23, 31)"}[scheme]
    assert {where for where in asked if not where.startswith(("data:", "blob:"))} == {urlsplit(address).netloc}
    assert said == []
    context.close()


CONTRAST = """(element) => {
  const bright = (text) => {
    const [red, green, blue] = text.match(/[\\d.]+/g).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const words = element.querySelector("p") ?? element;
  const [light, dark] = [getComputedStyle(words).color, getComputedStyle(element).backgroundColor]
    .map(bright).sort((one, other) => other - one);
  return (light + 0.05) / (dark + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_a_primary_button_says_can_be_read(address: str, browser: Browser, scheme: str) -> None:
    """Streamlit writes white on the primary colour whatever it is, and axe looks at no button that is not there yet."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1360, "height": 1000}, locale="en-GB")
    page = context.new_page()
    settled(page, f"{address}/audit", "Audit log")
    table = page.get_by_test_id("stDataFrame").bounding_box()
    page.mouse.click(table["x"] + 16, table["y"] + 52)
    button = page.get_by_test_id("stBaseButton-primary")
    button.wait_for()
    page.mouse.move(5, 5)
    assert button.evaluate(CONTRAST) >= 4.5
    button.hover()
    page.wait_for_timeout(400)
    assert button.evaluate(CONTRAST) >= 4.5, "under the pointer"
    context.close()


def test_a_link_shows_what_was_sent_in_the_readers_language_on_a_phone(address: str, browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 1400}, locale="de-DE", accept_downloads=True)
    page = context.new_page()
    settled(page, f"{address}/cycles?decision=promote&sort=sealed", "Zyklen von lab")
    page.get_by_text("3 von 4 Zyklen passen").wait_for()
    page.get_by_role("button", name="Befördert", exact=True).click()
    page.get_by_text("4 von 4 Zyklen passen").wait_for()
    assert "decision" not in page.url, "what is filtered is what the address says"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing hangs over the edge"
    page.get_by_role("button", name="Exportieren").click()
    with page.expect_download() as got:
        page.get_by_role("button", name="HTML-Datei").click()
    saved = tmp_path / "taken.html"
    got.value.save_as(saved)
    page.goto(saved.as_uri())
    assert page.get_by_role("heading", name="Zyklen von lab").is_visible()
    assert page.get_by_text(HOSTILE).count() == 1, "a file that opens anywhere, and whose text is text"
    context.close()


def test_cycles_are_sorted_compared_and_opened_where_they_are_listed(address: str, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1360, "height": 1000}, locale="en-GB")
    page = context.new_page()
    settled(page, f"{address}/cycles", "Cycles of lab")
    first = page.locator(".listing tbody a").first
    assert first.inner_text() == "c0003"
    head = page.get_by_role("columnheader", name="Cycle", exact=True)
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").click()
    page.locator(".listing tbody tr:first-child a", has_text="c0000").wait_for()
    assert "order=up" in page.url
    page.get_by_label("Choose c0001").check()
    page.get_by_label("Choose c0003").check()
    page.get_by_role("button", name="Compare 2").click()
    page.get_by_role("heading", name="Beside each other").wait_for()
    assert "compare=c0001&compare=c0003" in page.url
    assert page.locator(".listing").get_by_text(HOSTILE).count() == 1, "text stays text"
    assert page.locator(".listing tbody a", has_text="c0002").get_attribute("href") == "cycle?cycle=c0002"
    page.locator(".listing tbody a", has_text="c0002").click()
    page.get_by_role("heading", level=1, name="Cycle c0002").wait_for()
    assert "cycle=c0002" in page.url
    context.close()


def test_a_click_in_the_lineage_goes_on_to_what_was_clicked_and_asks_nobody_else(address: str, browser: Browser) -> None:
    asked: set[str] = set()
    context = browser.new_context(viewport={"width": 1360, "height": 1200}, locale="en-GB")
    page = context.new_page()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc or request.url[:5]))
    settled(page, f"{address}/lineage?node=c0002/model&down=0", "Lineage of c0002/model")
    picture = page.locator(".loopwright-graph")
    picture.locator("canvas").first.wait_for()
    page.wait_for_function("() => document.fonts.status === 'loaded'")
    told = picture.evaluate(
        "box => box.graph.nodes().not('.via').map(node => ({go: node.data('go'), ...node.renderedPosition()}))"
    )
    assert {one["go"] for one in told} == {"c0002/model", "c0002/train", "c0001/model", "c0002/archive"}
    target = next(one for one in told if one["go"] == "c0001/model")
    picture.click(position={"x": target["x"], "y": target["y"]})
    page.get_by_role("heading", level=1, name="Lineage of c0001/model").wait_for()
    assert "node=c0001%2Fmodel" in page.url
    assert "down=0" in page.url
    page.go_back()
    assert picture.get_attribute("aria-label")
    assert asked <= {urlsplit(address).netloc, "blob:", "data:"}


CONNECTED = """() => {
  const {testConnectionState, testScriptState} = document.querySelector("[data-testid=stApp]").dataset;
  return testConnectionState === "CONNECTED" && testScriptState === "notRunning";
}"""


@pytest.mark.slow
def test_a_browser_left_open_over_a_restart_goes_on(repository: Path, browser: Browser, tmp_path: Path) -> None:
    root = record_hostile(tmp_path / "lab")
    port = free_port()
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    with serving(repository, root, tmp_path / "log", port) as served:
        settled(page, f"{served}/cycles?decision=promote", "Cycles of lab")
        page.get_by_text("3 of 4 cycles match").wait_for()
    with serving(repository, root, tmp_path / "log", port):
        page.wait_for_timeout(3000)  # until it has seen that the old one is gone
        page.wait_for_function(CONNECTED, timeout=60_000)
        page.get_by_role("button", name="Promoted", exact=True).click(timeout=40_000)
        page.get_by_text("4 of 4 cycles match").wait_for(timeout=40_000)
        assert "decision" not in page.url, "the page that was open went on, with its filter in the address"
    context.close()


@pytest.mark.slow
def test_a_page_that_is_left_open_follows_the_loop(repository: Path, browser: Browser, tmp_path: Path) -> None:
    root = record_loop(tmp_path / "lab", 3, running=True)
    context = browser.new_context(locale="en-GB", viewport={"width": 1360, "height": 1000})
    page = context.new_page()
    with serving(repository, root, tmp_path / "log", free_port()) as served:
        settled(page, f"{served}/", "Overview of lab")
        page.get_by_text("c0003 is open").wait_for()
        recorder = Recorder.again(root)
        for phase in ("train", "evaluate", "examine", "decide"):
            recorder.phase(phase, 3)
        page.wait_for_function(
            "document.querySelector('[data-testid=stMain]').innerText.split('done').length > 7", timeout=30_000
        )
        recorder.close(3)
        recorder.done()
        page.get_by_text("c0003 is open").wait_for(state="detached", timeout=30_000)
        page.get_by_text("Rejected").first.wait_for()
    context.close()
