"""What persons say in the browser about rows and about fields of a report: signed by a key that stays there, and on the record."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from app.answering import Words, given_of
from app.views.reports import Choice
from loopwright.labelling import signed
from loopwright.workspace import Workspace
from tests.app.serving import serving
from tests.app.test_browser import browser
from tests.app.test_reports import claim
from tests.govern.test_labels import lab
from tests.ports import free_port

__all__ = ["browser", "lab"]


@pytest.fixture
def address(lab: Workspace, repository: Path, tmp_path: Path) -> Iterator[str]:
    with serving(repository, lab.root, tmp_path / "log", free_port()) as address:
        yield address


def enrolled(page: Page, address: str, lab: Workspace) -> None:
    """A key of this browser's own, enrolled as Anna's."""
    page.goto(f"{address}/controls?act=halt")
    page.get_by_text("I understand", exact=False).or_(page.locator("[data-testid=stCheckbox]")).first.click(timeout=60_000)
    page.get_by_role("button", name="Make a key in this browser").click(timeout=30_000)
    shown = page.locator("[data-testid=stCode]", has_text="loopwright keys enrol NAME").inner_text(timeout=30_000)
    (lab.root / "browser.pub").write_text(re.search(r"ssh-ed25519 \S+(?=')", shown)[0])  # type: ignore[index]
    told = ["keys", "enrol", "anna", "--duty", "safety", "--ssh", "browser.pub", "--custody", "browser", "--as", "owner"]
    subprocess.run([sys.executable, "-m", "loopwright", *told], cwd=lab.root, check=True, capture_output=True)


@pytest.mark.browser
def test_rows_are_judged_and_signed_in_the_browser(address: str, lab: Workspace, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1360, "height": 1600}, locale="en-GB")
    page = context.new_page()
    enrolled(page, address, lab)
    page.goto(f"{address}/data?cycle=c0001&tab=label")
    page.get_by_text("0 of 33 answered").wait_for(timeout=60_000)
    first = page.get_by_text(re.compile(r"Row 1 of 33: ")).inner_text().split()[-1]
    page.get_by_role("button", name="Right", exact=True).click()
    page.get_by_text("1 of 33 answered").wait_for()
    second = page.get_by_text(re.compile(r"Row 2 of 33: ")).inner_text().split()[-1]
    page.get_by_role("button", name="Unsure").click()
    page.get_by_text("2 of 33 answered").wait_for()
    page.locator(".signer pre", has_text=f"{second},").wait_for(timeout=30_000)  # the file itself, as it is signed
    page.get_by_role("button", name="Sign 2 answers").click()
    page.get_by_text("your answer is entry").wait_for(timeout=30_000)
    page.get_by_text("0 of 33 answered").wait_for()
    page.get_by_role("heading", name="How far answers agree").wait_for()
    context.close()
    [told] = signed(lab.root, lab.state(), "c0001")
    assert (told.name, dict(told.answers), list(told.problems)) == ("anna", {first: "right", second: "unsure"}, [])


def test_an_answer_to_a_field_says_what_the_command_says() -> None:
    choice = Choice(document="annex-iv", row={"scope": "cycle"}, about="c0003", audience="internal", language="en")
    told = given_of(Path(), choice, claim(), Words(kind="text", text=" it sorts "))
    assert (told.field, told.document, told.about, told.state, told.text) == (
        "AIV-1a-purpose",
        "annex-iv",
        "loop",
        "statement",
        "it sorts",
    )
    assert given_of(Path(), choice, claim(), Words(kind="not-applicable", text="no", alone=True)).about == "c0003"
    assert given_of(Path(), choice, claim(), Words(kind="withdraw", text="left over")).text is None
    assert not Words(kind="text", text=" ").complete
    assert not Words(kind="not-applicable").complete
