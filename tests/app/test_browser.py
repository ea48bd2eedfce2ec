"""The page in a real browser: drawn, readable on a phone, in light and dark, and without a request to anywhere else."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.report.recorded import HOSTILE, record_hostile

pytestmark = pytest.mark.browser


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
    """The app served as `loopwright app` serves it."""
    folder = tmp_path_factory.mktemp("served")
    root = record_hostile(folder / "lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(repository / "app/app.py"),
        f"--server.port={port}",
        "--",
        str(root),
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as server:
        try:
            _until_it_answers(port, server, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
    assert "Traceback" not in (folder / "log").read_text()


def _until_it_answers(port: int, server: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(log.read_text())


@pytest.mark.parametrize(("scheme", "width"), [("light", 1360), ("dark", 1360), ("light", 390)])
def test_it_is_drawn_and_asks_nobody_else(address: str, browser: Browser, tmp_path: Path, scheme: str, width: int) -> None:
    asked: set[str] = set()
    said: list[str] = []
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 1400})
    page = context.new_page()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc or request.url[:20]))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    page.get_by_role("heading", name="Cycles of lab").wait_for(timeout=90_000)
    page.locator("[data-testid=stDataFrame] canvas").first.wait_for(timeout=60_000)
    page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg").first.wait_for(timeout=60_000)
    assert page.get_by_role("heading", name="Who is checking the builder").is_visible()
    page.evaluate("document.fonts.ready")
    assert page.get_by_text("c0002", exact=True).first.is_visible()
    assert page.locator("[data-testid=stText]", has_text=HOSTILE).count() == 2, (
        "reasons and method are shown as they were written"
    )
    assert page.locator("[data-testid=stCode]", has_text=HOSTILE).count() == 1, "so is the failure"
    assert page.locator("img[src=x], a[href*='example.org'], strong:has-text('bold'), .katex").count() == 0
    assert page.evaluate("document.fonts.check('15px Inter')")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing hangs over the edge"
    ground = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 23, 31)"}[scheme]
    picture = tmp_path / f"cycles-{scheme}-{width}.png"
    page.screenshot(path=picture)
    assert picture.stat().st_size > 20_000
    assert {where for where in asked if not where.startswith(("data:", "blob:"))} == {urlsplit(address).netloc}
    assert said == []
    context.close()
