"""Decisions and Controls in Streamlit's harness: what waits, what is signed, and what comes back by a file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.counter import Draft, answer, bring, signature, stop
from app.views.decided import cover, outcome
from app.words import Words
from loopwright.clock import now
from loopwright.errors import RefusedError
from loopwright.govern import enrolment
from loopwright.govern.halt import halt
from loopwright.govern.letters import sign
from loopwright.govern.requests import Desk
from loopwright.index import Index
from loopwright.ledger.access import ACCESS
from loopwright.ledger.hands import KeyHand
from loopwright.ledger.principals import principal_id
from loopwright.ledger.statement import unseal
from loopwright.workspace import Workspace, create
from tests.govern.record import nobody

ANNA = KeyHand(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEY = principal_id(ANNA.public_key)
DIFF = "--- recipe.yaml\n+++ recipe.yaml\n**longer** <b>steps</b>\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demonstration in which a recipe waits for persons, one was vetoed, and Anna is enrolled."""
    root = tmp_path_factory.mktemp("template") / "lab"
    lab = create(root, overrides={"name": "lab"}, demo=True)
    for name in ("longer", "other"):
        (root / f"recipes/{name}.diff").write_text(DIFF, encoding="utf-8")
    with Desk(lab, nobody) as desk:
        enrolment.enrol(desk, "anna", ["safety"], enrolment.Key(public=ANNA.public_key, custody="browser"), "owner")
        bad = desk.ask("recipe", {"path": "recipes/other.diff"}, "operator")
        desk.answer(desk.consent.state().acts.requests[bad], approves=False, name="owner", reason="too long")
        desk.ask("recipe", {"path": "recipes/longer.diff"}, "operator")
    return root


@pytest.fixture
def lab(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path / "lab")
    return tmp_path / "lab"


def waiting(root: Path) -> str:
    """The id of the request that waits."""
    return list(Workspace(root=root).state().acts.requests)[-1]


def test_the_queue_says_what_waits_and_the_evidence_is_opened_on_the_record(lab: Path, opened, text) -> None:
    short = waiting(lab)[7:19]
    page = opened(lab, "decisions")
    said = text(page)
    assert "Try a changed recipe: recipes/longer.diff" in said
    assert "0 of 1 signed · still to sign: 1" in said
    page.button(key=f"look-{short}").click().run()
    assert "the next cycle trains with recipes/longer.diff" in text(page)
    assert 'predicate.action: "recipe"' in text(page), "word for word"
    assert DIFF.strip() not in text(page)
    page.button(key=f"open-{short}").click().run()
    assert DIFF.strip() in text(page), "as it is, and as text"
    lines = "".join(file.read_text() for file in (lab / ACCESS).glob("*.jsonl"))
    assert lines.count(f"request {short}") == 1
    who = next(one.value for one in page.dataframe if "may" in one.value.columns)
    assert dict(zip(who["name"], who["may"], strict=True))["operator"] == "proposed it"
    assert "The record has no request abcdef123456" in text(opened(lab, "decisions", request="abcdef123456"))


def test_a_signed_letter_is_taken_by_the_page_and_a_forged_one_is_refused_there(lab: Path, opened, text) -> None:
    request = waiting(lab)
    with Index.open(lab) as index:
        drafted = answer(lab, index.near(), Draft("answer", KEY, request, reason="seen", opened_at=now()))
    data = sign(drafted, ANNA)
    page = opened(lab, "decisions", request=request[7:19])
    page.segmented_control(key=f"answer-{request[7:19]}").set_value("approve")
    page.segmented_control(key="way-decisions").set_value("file").run()
    size = Workspace(root=lab).state().leaves
    for what, told in ((data.replace(b'"sig":"', b'"sig":"AA'), "is not that of key"), (data, "your yes is entry")):
        page.file_uploader[0].upload("answer.signed", what, "application/octet-stream").run()
        page.button(key=f"record-answer-{request[7:19]}").click().run()
        assert told in text(page), text(page)
        assert (told == "is not that of key") == (Workspace(root=lab).state().leaves == size)
    assert "granted: the next run carries it out" in text(page)
    looked = opened(lab, "decisions", tab="history").dataframe[0].value
    assert list(looked["outcome"]) == ["Granted", "Refused by a person"]
    assert list(looked["reason"]) == ["seen", "too long"]
    cared = opened(lab, "decisions", tab="care").dataframe[0].value
    assert dict(zip(cared["name"], cared["unopened"], strict=True)) == {"owner": 1, "anna": 0}
    assert set(opened(lab, "decisions", tab="care", roles="engineer").dataframe[0].value["name"]) == {"Person 1", "Person 2"}


def test_what_a_browser_sends_is_weighed_like_what_is_typed(lab: Path) -> None:
    request = waiting(lab)
    with Index.open(lab) as index:
        state = index.near()
    yes = answer(lab, state, Draft("answer", KEY, request))
    no = answer(lab, state, Draft("answer", KEY, request, approves=False))
    envelope = json.loads(sign(no, ANNA))
    told = {"payload": envelope["payload"], "signature": envelope["signatures"][0]["sig"], "key": KEY}
    assert unseal(signature(told)).keyid == KEY
    for spoilt in (None, {}, {**told, "signature": "%"}, {**told, "payload": 7}):
        with pytest.raises(RefusedError, match="no signature"):
            signature(spoilt)
    with pytest.raises(RefusedError, match="not what was shown"):
        bring(lab, signature(told), yes, request)
    assert bring(lab, signature(told), no, request).said["answer"] == "veto"


def test_controls_say_what_they_do_and_need_a_confirmation(lab: Path, opened, text) -> None:
    page = opened(lab, "controls", act="halt")
    assert "stops within ten seconds" in text(page)
    assert not [one for one in page.segmented_control if one.key == "way-controls"], "nothing to sign before the box is ticked"
    page.checkbox(key="sure-halt").check().run()
    page.text_area(key="reason-halt").set_value("it's odd").run()
    page.segmented_control(key="way-controls").set_value("command").run()
    assert "loopwright halt --reason 'it'\"'\"'s odd'" in text(page)
    assert "No halt stands" in text(opened(lab, "controls", act="resume"))
    assert "no earlier promoted model" in text(opened(lab, "controls", act="rollback"))
    with Desk(Workspace(root=lab), nobody) as desk:
        halt(desk, "**rewards** look hacked")
    page = opened(lab, "controls", act="resume", digest="1")
    assert "Now Halted" in text(page)
    assert list(page.dataframe[0].value["reason"]) == ["**rewards** look hacked"]
    assert "HALTED since" in text(page)
    page.checkbox(key="sure-resume").check().run()
    assert not page.exception
    drafted = stop(lab, Draft("freeze", KEY, reason="an incident"))
    page = opened(lab, "controls", act="freeze")
    page.checkbox(key="sure-freeze").check().run()
    page.segmented_control(key="way-controls").set_value("file").run()
    page.file_uploader[0].upload("freeze.signed", sign(drafted, ANNA), "application/octet-stream").run()
    page.button(key="record-freeze").click().run()
    assert "Recorded: the freeze is entry" in text(page)
    assert "Now Frozen" in text(page)
    assert not page.file_uploader, "what is done is not offered once more"


def test_absence_is_counted_in_persons_with_the_duty(lab: Path, make_rules: Callable[..., dict]) -> None:
    state, words = Workspace(root=lab).state(), Words("decisions", "en")
    [table] = cover(words, state, make_rules(ordinary=(1, ()), strict=(3, ("safety", "audit"))), {})
    told = {(row["rule"][:8], row["needs"]): (row["have"], row["absence"]) for row in table.rows}
    assert told["ordinary", "persons: 1"] == (4, "goes on")
    assert told["judge, p", "persons: 3"] == (4, "waits")
    assert told["judge, p", "somebody with the duty safety"] == (2, "waits")
    assert told["judge, p", "somebody with the duty audit"] == (0, "waits even now")
    [vetoed, fresh] = state.acts.requests.values()
    moment = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert [outcome(one, moment) for one in (vetoed, fresh)] == ["vetoed", "void"]


@pytest.fixture
def make_rules() -> Callable[..., dict]:
    def make(**told: tuple[int, tuple[str, ...]]) -> dict:
        return {name: {"persons": persons, "duties": list(duties)} for name, (persons, duties) in told.items()}

    return make
