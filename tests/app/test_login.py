"""Signing in by OpenID Connect for real: a provider on this machine, Streamlit's own login, a browser, and roles of the record."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from joserfc.jwk import RSAKey
from playwright.sync_api import Browser, BrowserContext, Page

from app.visitor import ROLES_FILE
from loopwright.ledger import Ledger
from tests.app.provider import CLIENT, SECRET, Provider, provider
from tests.app.serving import started
from tests.app.test_browser import browser  # noqa: F401  # the fixture
from tests.ports import free_port
from tests.report.recorded import record_loop

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    root = record_loop(tmp_path / "lab", 2)
    (root / "loop.yaml").write_text("name: lab\n")
    ledger = Ledger.open(root)
    owner = next(key for key, one in ledger.roster().holdings.items() if "owner" in one.principal.duties)
    ledger.close()
    (root / ROLES_FILE).write_text(f"people: {{anna@example.org: {{key: {owner}}}}}\n")
    return root


@pytest.fixture
def signing() -> Iterator[Provider]:
    with provider() as found:
        yield found


@pytest.fixture
def address(lab: Path, signing: Provider, tmp_path: Path, repository: Path) -> Iterator[str]:
    """`loopwright app --secrets`, as a person starts it."""
    port = free_port()
    file = tmp_path / "secrets.toml"
    file.write_text(
        f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\ncookie_secret = "{secrets.token_hex(32)}"\n'
        f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
        f'server_metadata_url = "{signing.address}/.well-known/openid-configuration"\n'
    )
    command = [sys.executable, "-m", "loopwright", "app", "--port", str(port), "--secrets", str(file), "-w", str(lab)]
    with started(command, tmp_path, tmp_path / "log", port) as served:
        yield served


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[[], Page]]:  # noqa: F811
    opened: list[BrowserContext] = []

    def fresh() -> Page:
        opened.append(browser.new_context(locale="en-GB", viewport={"width": 1360, "height": 900}))
        return opened[-1].new_page()

    yield fresh
    for context in opened:
        context.close()


def signed_in(page: Page, address: str, who: str) -> None:
    page.goto(f"{address}/decisions")
    page.get_by_role("button", name="Sign in").click(timeout=90_000)
    page.get_by_role("link", name=who).click()
    page.wait_for_url(f"{address}/**", timeout=60_000)


def test_who_signs_in_has_the_roles_of_the_record_and_nobody_else_has_any(
    address: str, signing: Provider, visit: Callable[[], Page], lab: Path
) -> None:
    page = visit()
    page.goto(address)
    page.get_by_role("button", name="Sign in").wait_for(timeout=90_000)
    assert page.get_by_text("Champion").count() == 0, "nothing is shown before"
    signed_in(page, address, "anna@example.org")
    page.get_by_text("anna@example.org").wait_for(timeout=60_000)
    page.get_by_role("link", name="Decisions").wait_for()
    page.get_by_test_id("stSidebar").get_by_text("Manager").wait_for()
    eve = visit()
    signed_in(eve, address, "eve@example.org")
    eve.get_by_text("You may not see this page.").wait_for(timeout=60_000)
    assert eve.get_by_test_id("stMetric").count() == 0
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for(timeout=60_000)


@pytest.mark.parametrize("spoilt", ["unproved address", "over at once", "another key"])
def test_a_sign_in_that_proves_nothing_gives_nothing(
    spoilt: str, address: str, signing: Provider, visit: Callable[[], Page]
) -> None:
    if spoilt == "another key":
        signing.signer = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
    else:
        signing.claims = {"email_verified": False} if spoilt == "unproved address" else {"exp": int(time.time()) + 1}
    page = visit()
    signed_in(page, address, "anna@example.org")
    page.wait_for_timeout(2500)
    page.goto(f"{address}/decisions")
    shut = page.get_by_text("You may not see this page.").or_(page.get_by_role("button", name="Sign in"))
    shut.first.wait_for(timeout=60_000)
    assert page.get_by_test_id("stMetric").count() == 0
