"""Visits by Chromium without a window and without an observer: a page is timed as its reader meets it.

A driver that listens to every request (Playwright does, for its own purposes) makes each of them dearer, and a page of many small files slower
than it is. Here the browser is told to go to an address, and the page itself says when what was waited for had been painted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from websockets.sync.client import ClientConnection, connect

__all__ = ["Chromium", "Visit", "chromium"]

ALL = """
const all = (root, found = []) => { for (const one of root.querySelectorAll("*")) { found.push(one); if (one.shadowRoot) all(one.shadowRoot, found); } return found; };
const seen = (text) => all(document).some((one) => one.children.length === 0 && one.textContent.trim() === text && one.getClientRects().length > 0);
"""
"""JavaScript: every element, in shadow trees too, and whether one whose whole text is this can be seen."""
UNTIL = """(async () => {{ {all} const there = () => {{ {condition} }}; const began = performance.now();
  while (!there()) {{ if (performance.now() - began > {most}) throw new Error("not there"); await new Promise((done) => setTimeout(done, 10)); }}
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return [performance.now(), performance.now() - began]; }})()"""
COUNTING = """window.arrived = 0; const Plain = WebSocket;
window.WebSocket = class extends Plain { constructor(...told) { super(...told);
  this.addEventListener("message", ({ data }) => { window.arrived += data.byteLength ?? data.size ?? data.length; }); } };"""


@dataclass
class Visit:
    """One page in a context of its own: nothing is in a cache."""

    browser: Chromium
    session: str
    context: str

    def go(self, address: str) -> None:
        """Begin to load it."""
        self.browser.call("Page.navigate", {"url": address}, self.session)

    def until(self, condition: str, most: float = 120.0) -> tuple[float, float]:
        """Wait until this JavaScript (which may ask ``seen(text)`` and ``all(document)``) returns true and is painted.

        Seconds since the page began to load, and since now.
        """
        text = UNTIL.format(all=ALL, condition=condition, most=most * 1000)
        loaded, waited = self.ask(text)
        return loaded / 1000, waited / 1000

    def ask(self, text: str) -> Any:
        """The value of some JavaScript; a promise is awaited."""
        told = {"expression": text, "awaitPromise": True, "returnByValue": True}
        found = self.browser.call("Runtime.evaluate", told, self.session)
        if "exceptionDetails" in found:
            raise SystemExit(f"the page says: {found['exceptionDetails']['exception'].get('description')}")
        return found["result"].get("value")


@dataclass
class Chromium:
    """A browser, spoken to by its own protocol."""

    process: psutil.Process
    wire: ClientConnection
    _number: int = field(default=0)

    def call(self, method: str, told: Any = None, session: str | None = None) -> Any:
        """Ask and wait for the answer."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": told or {}} | ({"sessionId": session} if session else {})
        self.wire.send(json.dumps(asked))
        while (answer := json.loads(self.wire.recv())).get("id") != self._number:
            pass
        if "error" in answer:
            raise SystemExit(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def cpu(self) -> float:
        """CPU-seconds of all its processes that live."""
        spent = 0.0
        for one in (self.process, *self.process.children(recursive=True)):
            try:
                spent += sum(one.cpu_times()[:2])
            except psutil.Error:
                continue
        return spent

    @contextmanager
    def visit(self, *, counting: bool = False) -> Iterator[Visit]:
        """A fresh page. ``counting``: it keeps in ``window.arrived`` how many bytes came by WebSocket."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        page = {"url": "about:blank", "browserContextId": context, "width": 1360, "height": 900}
        target = self.call("Target.createTarget", page)["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self.call("Page.enable", session=session)
        if counting:
            self.call("Page.addScriptToEvaluateOnNewDocument", {"source": COUNTING}, session)
        time.sleep(0.3)  # until the empty page is at rest
        try:
            yield Visit(self, session, context)
        finally:
            self.call("Target.disposeBrowserContext", {"browserContextId": context})


@contextmanager
def chromium() -> Iterator[Chromium]:
    """Chromium, until the block ends."""
    name = shutil.which("chromium") or shutil.which("chromium-browser")
    if name is None:
        raise SystemExit("no chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        flags = ["--headless", "--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={home}"]
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        with subprocess.Popen([name, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                with connect(_address(Path(home) / "DevToolsActivePort"), max_size=None) as wire:
                    yield Chromium(psutil.Process(browser.pid), wire)
            finally:
                browser.terminate()


def _address(told: Path) -> str:
    for _ in range(600):
        lines = told.read_text().splitlines() if told.is_file() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.1)
    raise SystemExit("chromium does not start")
