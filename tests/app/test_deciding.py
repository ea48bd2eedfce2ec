"""A decision from the queue to the loop that goes on: a held model, a key that never leaves the browser, and a real `loopwright run`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from loopwright.ledger.verify import verify
from loopwright.workspace import Workspace
from tests.app.serving import serving
from tests.app.test_browser import browser
from tests.ports import free_port
from tests.run.conftest import lab, seeded, victim
from tests.run.test_held import holding, turn

__all__ = ["browser", "holding", "lab", "seeded", "victim"]

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEPT = """async () => {
  const opening = indexedDB.open("loopwright", 1);
  await new Promise((done) => { opening.onsuccess = done; });
  const asked = opening.result.transaction("keys").objectStore("keys").get("person");
  await new Promise((done) => { asked.onsuccess = done; });
  const key = asked.result.privateKey;
  return [key.type, key.extractable, await crypto.subtle.exportKey("pkcs8", key).then(() => "out", () => "kept")];
}"""


@pytest.fixture
def held(lab: Workspace, holding: None) -> Path:
    """A workspace whose first cycle waits for persons."""
    turn(lab, 1)
    assert lab.state().cycles["c0001"].action == "hold"
    return lab.root


@pytest.fixture
def served(held: Path, repository: Path, tmp_path: Path) -> Iterator[str]:
    with serving(repository, held, tmp_path / "log", free_port()) as address:
        yield address


def loopwright(root: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "loopwright", *words], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def at_the_request(page: Page, address: str, short: str) -> None:
    page.goto(f"{address}/decisions?request={short}")
    page.get_by_role("button", name="Open the evidence").click(timeout=60_000)
    page.get_by_role("heading", name="Gate, rule by rule").or_(page.get_by_text("a jump")).first.wait_for(timeout=30_000)
    page.get_by_role("radio", name="Yes").or_(page.get_by_text("Yes", exact=True)).first.click()


def test_a_held_model_is_promoted_by_a_key_that_never_leaves_the_browser(
    served: str, held: Path, browser: Browser, tmp_path: Path
) -> None:
    lab = Workspace(root=held)
    [asked] = lab.state().acts.requests
    context = browser.new_context(viewport={"width": 1360, "height": 2000}, locale="en-GB")
    page, sent = context.new_page(), list[bytes]()
    page.on(
        "websocket",
        lambda one: one.on("framesent", lambda data: sent.append(data if isinstance(data, bytes) else data.encode())),
    )
    at_the_request(page, served, asked[7:19])
    page.get_by_role("button", name="Make a key in this browser").click(timeout=30_000)
    page.get_by_text("This browser's key is not enrolled here").wait_for(timeout=30_000)
    shown = page.locator("[data-testid=stCode]", has_text="loopwright keys enrol NAME").inner_text()
    (tmp_path / "browser.pub").write_text(re.search(r"ssh-ed25519 \S+(?=')", shown)[0])  # type: ignore[index]
    loopwright(
        held,
        "keys",
        "enrol",
        "anna",
        "--duty",
        "safety",
        "--ssh",
        str(tmp_path / "browser.pub"),
        "--custody",
        "browser",
        "--as",
        "owner",
    )
    assert page.evaluate(KEPT) == ["private", False, "kept"]

    at_the_request(page, served, asked[7:19])
    page.get_by_label("Reason, for the record").fill("looked at the rows: ünïcödé, too")
    page.get_by_label("Reason, for the record").blur()
    page.get_by_text('"looked at the rows: ünïcödé, too"').wait_for(timeout=30_000)
    before = lab.state().leaves
    page.get_by_role("button", name="Sign yes").click()
    page.get_by_text(f"your yes is entry {before}").wait_for(timeout=30_000)
    page.get_by_text("the next run carries it out").first.wait_for(timeout=30_000)
    context.close()

    request = lab.state().acts.requests[asked]
    [answer] = request.answers
    anna = lab.state().roster.holdings[answer.key].principal
    assert (anna.kind, anna.custody, answer.said["reason"]) == ("person", "browser", "looked at the rows: ünïcödé, too")
    assert answer.said["opened_at"] <= answer.said["answered_at"]
    assert sent
    assert not any(b"PRIVATE" in data for data in sent)
    looked = "".join(file.read_text() for file in (held / ".loopwright/access").glob("*.jsonl"))
    assert f"request {asked[7:19]}" in looked, "opening the evidence is in the access log"
    loopwright(held, "run", "--cycles", "1")
    state = lab.state()
    assert (state.cycles["c0001"].action, state.cycles["c0002"].parent) == ("hold", "c0001")
    assert verify(held).ok
