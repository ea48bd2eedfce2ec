"""Every page in every state of a loop, in Streamlit's own harness."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from app.contents import PAGES
from app.place import WORKSPACE
from app.visitor import ROLES_FILE, read_roles, visitor_of
from loopwright.errors import UsageError
from loopwright.ledger import Ledger
from loopwright.ledger.access import ACCESS
from tests.report.recorded import HOSTILE, record_loop

OVERVIEW = {
    "none": ["There is no record here yet.", "loopwright init lab"],
    "fresh": ["No cycle has begun yet.", "loopwright run", "demonstration key, not a person"],
    "one": ["Champion c0000", "Last decision Promoted"],
    "rest": ["Champion c0002", "Last decision Rejected", "Record Verified", "paired gain -0.010", "35 of 35 entries"],
    "running": ["c0004 is open", "Nothing new on the record for", "Champion c0002"],
    "failed": ["The Train phase of c0004 failed at attempt 1.", "<b>No space left</b> on device", "loopwright run"],
    "held": ["Last decision On hold", "Champion c0002"],
    "hostile": [HOSTILE],
}


def listed(page: AppTest) -> dict[str, Any]:
    """What the list of cycles is told."""
    [told] = page.get("bidi_component")
    return json.loads(told.proto.json)


def assert_nothing_is_live(page: AppTest) -> None:
    """A record's text never reaches Markdown as it is."""
    told = [part.value for part in [*page.markdown, *page.title, *page.header, *page.info, *page.error]]
    assert not any(live in part for part in told for live in ("**bold**", "](http", ":red[x]"))


@pytest.mark.parametrize("state", OVERVIEW)
def test_every_page_is_drawn_in_every_state(state: str, loops: Callable[[str], Path], opened, text) -> None:
    page = opened(loops(state))
    said = text(page)
    for words in OVERVIEW[state]:
        assert words in said, said
    assert_nothing_is_live(page)
    for one in PAGES[1:]:
        page.switch_page(f"screens/{one.name}.py").run()
        assert not page.exception, (one.name, page.exception)
        assert page.title, one.name
        if state == "none":
            assert "There is no record here yet." in text(page)
        assert_nothing_is_live(page)


@pytest.mark.slow
def test_every_page_is_drawn_soon_over_ten_thousand_cycles(loops: Callable[[str], Path], opened, text) -> None:
    """By the index: no page folds the log, so each is worked out in less than five seconds of a busy machine."""
    page = opened(loops("many"))
    assert "of 10,000 cycles" in text(page)
    for one in PAGES[1:]:
        page.switch_page(f"screens/{one.name}.py")
        began = time.process_time()
        page.run()
        assert not page.exception, (one.name, page.exception)
        assert page.title, one.name
        assert time.process_time() - began < 5, one.name
    assert "10,000 of 10,000 cycles match" in text(opened(loops("many"), "cycles"))
    found = text(opened(loops("many"), "cycles", q="c0042"))
    assert "of 10,000 cycles match" in found
    assert "10,000 of 10,000" not in found


@pytest.mark.parametrize("roles", ["", "viewer"])
def test_no_page_is_shown_to_who_may_not_see_it(roles: str, loops: Callable[[str], Path], opened, text) -> None:
    page = opened(loops("rest"), roles=roles)
    addresses = {told["url_pathname"]: script for script, told in page._registered_pages.items()}
    for one in PAGES:
        if one != PAGES[0]:  # where a visitor arrives
            page._page_hash = addresses[one.name]  # by its address: it is not in the list
            page.run()
        refused = "You may not see this page." in text(page)
        assert refused != (roles in one.needs), one.name
        assert not (refused and (page.metric or page.dataframe)), one.name


def test_each_tab_of_a_cycle_is_drawn_and_a_cycle_that_is_gone_is_said(loops: Callable[[str], Path], opened, text) -> None:
    root = loops("rest")
    gate = opened(root, "cycle", cycle="c0003", tab="gate")
    [table] = [one.value for one in gate.dataframe]
    verdicts = dict(zip(table["rule"], table["verdict"], strict=True))
    assert verdicts["Gain is no luck (p value)"] == "failed"
    assert verdicts["Diversity"] == "warning"
    assert "thresholds are not shown" in text(gate), "no configuration file is here"
    for tab in ("summary", "samples", "data", "slices", "cost", "evidence"):
        page = opened(root, "cycle", cycle="c0003", tab=tab)
        assert not page.exception, tab
        assert "Rejected" in text(page)
    assert "The record has no cycle c0077." in text(opened(root, "cycle", cycle="c0077"))
    assert "Cycle c0003" in text(opened(root, "cycle", tab="nonsense")), "the newest, on its first tab"


def test_cycles_are_filtered_sorted_and_compared_by_the_address(loops: Callable[[str], Path], opened, text) -> None:
    root = loops("rest")
    page = opened(root, "cycles", decision="promote", sort="sealed", order="up", cols="decision")
    assert "3 of 4 cycles match" in text(page)
    told = listed(page)
    assert told["names"] == ["c0000", "c0001", "c0002"]
    assert [column["label"] for column in told["columns"]] == ["Cycle", "Decision"]
    assert [row[1] for row in told["rows"]] == [["Promoted", "good"], ["Promoted", "good"], ["Champion", "good"]]
    page.text_input(key="q").set_value("c0001").run()
    assert "2 of 4 cycles match" in text(page), "itself and its child, of those that were promoted"
    assert page.query_params["q"] in ("c0001", ["c0001"]), "what is filtered can be sent to somebody"
    compared = opened(root, "cycles", compare=["c0001", "c0003", "c0099"])
    assert "Not on the record: c0099" in text(compared)
    assert {"c0001", "c0003"} <= set(compared.dataframe[0].value.columns)


def test_a_record_that_is_not_what_was_signed_is_said_in_red_on_every_page(tmp_path: Path, opened, text) -> None:
    root = record_loop(tmp_path / "lab", 3)
    with sqlite3.connect(root / ".loopwright/state.db") as database:
        database.execute("DROP TRIGGER log_leaf_update")
        database.execute('UPDATE log_leaf SET envelope = replace(envelope, \'"sig":"\', \'"sig":"AAAA\') WHERE idx = 5')
    page = opened(root)
    assert page.error
    assert "breaks at entry 5" in text(page)
    assert "Unverified" in text(page)
    for one in PAGES[1:]:
        page.switch_page(f"screens/{one.name}.py").run()
        assert any("breaks at entry 5" in part.value.replace("\\", "") for part in page.error), one.name
    published = next((root / "ledger/tile/entries").rglob("*.p/*"))
    published.chmod(0o644)
    published.write_bytes(published.read_bytes().replace(b'"', b"'", 40))
    shutil.rmtree(root / ".loopwright")
    assert "Unverified" in text(opened(root)), "nor is one that cannot be read at all shown as if it could"


def test_what_somebody_may_not_see_is_not_in_the_list_and_is_refused_by_its_address(
    loops: Callable[[str], Path], opened, text
) -> None:
    page = opened(loops("rest"), roles="")
    assert "You may not see this page." in text(page)
    assert not page.metric
    viewer = opened(loops("rest"), "cycle", roles="viewer", cycle="c0003", tab="samples")
    assert "Prompts and answers are shown to engineers" in text(viewer)


def test_without_a_sign_in_nothing_is_shown_to_other_machines(
    loops: Callable[[str], Path], repository: Path, monkeypatch: pytest.MonkeyPatch, text
) -> None:
    monkeypatch.setattr("sys.argv", ["app.py"])
    monkeypatch.setenv(WORKSPACE, str(loops("rest")))
    config.set_option("server.address", "0.0.0.0")
    page = AppTest.from_file(repository / "app/app.py", default_timeout=60).run()
    assert "Served to other machines without a sign-in." in text(page)
    assert not page.metric


def test_several_loops_are_chosen_from_and_none_from_elsewhere(tmp_path: Path, opened, text) -> None:
    for name in ("one", "two"):
        record_loop(tmp_path / "labs" / name, 1)
    record_loop(tmp_path / "secret", 3)
    assert "Champion c0000" in text(opened(tmp_path / "labs", loop="two"))
    outside = opened(tmp_path / "labs", loop="../secret")
    assert outside.sidebar.selectbox[0].value == "one"
    assert "of 1 cycles" in text(outside)


def test_a_sign_in_gives_the_roles_of_the_record_and_nothing_to_a_revoked_key(tmp_path: Path) -> None:
    root = record_loop(tmp_path / "lab", 1)
    ledger = Ledger.open(root)
    roster = ledger.roster()
    ledger.close()
    owner = next(key for key, one in roster.holdings.items() if "owner" in one.principal.duties)
    (root / ROLES_FILE).write_text(
        f"people:\n  Anna@example.org: {{key: {owner}, roles: [engineer]}}\n  bo@example.org: {{roles: [engineer]}}\n"
    )
    people = read_roles(root / ROLES_FILE)

    def roles(how: str = "proxy", **user) -> set[str]:
        return set(visitor_of(user, how, people, roster).roles)

    assert roles(email="anna@example.org") == {"viewer", "manager", "engineer"}
    assert roles(email="bo@example.org") == {"engineer"}
    assert roles(email="eve@example.org") == roles() == set()
    assert roles("oidc", email="bo@example.org", exp=1) == roles("oidc", email="bo@example.org") == set(), (
        "an old sign-in, or one without an end"
    )
    assert roles("oidc", email="bo@example.org", exp=9e9, email_verified=False) == set()
    assert visitor_of({"email": "anna@example.org"}, "proxy", people, None).roles == frozenset(), "the record cannot be read"
    (root / ROLES_FILE).write_text("people: {bo: {roles: [king]}}")
    with pytest.raises(UsageError, match="not a roles file"):
        read_roles(root / ROLES_FILE)


def test_views_are_in_the_access_log_once_a_session(tmp_path: Path, opened) -> None:
    root = record_loop(tmp_path / "lab", 1)
    page = opened(root, "settings")
    page.run()
    lines = "".join(file.read_text() for file in (root / ACCESS).glob("*.jsonl")).splitlines()
    assert [line.count('"settings"') for line in lines].count(1) == 1
