"""Between the executor's last look and its entry nobody's word is lost: a veto that came first always counts."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loopwright.consent import Consent
from loopwright.errors import InfraError, RefusedError, UsageError
from loopwright.govern.requests import Desk
from loopwright.ledger.acts import Request
from loopwright.ledger.inspection import inspect
from loopwright.workspace import Workspace, create
from tests.govern.record import nobody
from tests.ledger.conftest import server

__all__ = ["server"]

_SCHEMAS = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A demonstration with a proposed recipe."""
    settings: dict[str, Any] = {"name": "lab"}
    if request.param == "postgresql":
        settings["record.url"] = request.getfixturevalue("server").url(f"race_{next(_SCHEMAS)}")
    workspace = create(tmp_path / "lab", overrides=settings, demo=True)
    (workspace.root / "recipes" / "longer.diff").write_text("a diff\n", encoding="utf-8")
    return workspace


@pytest.fixture
def people(lab: Workspace) -> Iterator[Desk]:
    with Desk(lab, nobody) as opened:
        yield opened


def granted(people: Desk) -> Request:
    made = people.ask("recipe", {"path": "recipes/longer.diff"}, "operator")
    request = people.consent.state().acts.requests[made]
    people.answer(request, approves=True, name="owner", reason="")
    return request


def late(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something said after the executor has looked at everything."""
    real = Consent._verified

    def verified(*words: Any) -> None:
        real(*words)
        act()

    monkeypatch.setattr(Consent, "_verified", verified)


def said(people: Desk, kind: str) -> list[Any]:
    return [one for one in people.ledger.statements() if one.kind == kind]


def test_a_veto_after_the_last_look_is_seen(lab: Workspace, people: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    request = granted(people)

    def veto() -> None:
        with Desk(lab, nobody) as other:
            other.answer(request, approves=False, name="safety", reason="wait")

    late(monkeypatch, veto)
    with pytest.raises(RefusedError, match="is vetoed"):
        people.consent.carry_out(request.id)
    assert said(people, "execute") == []


def test_what_is_said_of_other_things_delays_and_what_never_ends_is_told(
    lab: Workspace, people: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, rounds = granted(people), itertools.count()
    busy = 3

    def chatter() -> None:
        if next(rounds) < busy:
            with Desk(lab, nobody) as other:
                other.ask("recipe", {"path": "recipes/longer.diff"}, "safety")

    late(monkeypatch, chatter)
    assert people.consent.carry_out(request.id) == people.ledger.size - 1
    assert len(said(people, "request")) == 1 + busy
    again, busy = granted(people), 10**6
    with pytest.raises(InfraError, match="faster than it can be weighed"):
        people.consent.carry_out(again.id)
    assert len(said(people, "execute")) == 1


def test_entries_around_the_reading_of_the_head_are_no_forgery(
    lab: Workspace, people: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, head, ledger = granted(people), type(people.ledger).head, people.ledger

    def another_writes() -> None:
        with Desk(lab, nobody) as other:
            other.ask("recipe", {"path": "recipes/longer.diff"}, "safety")

    def busy() -> tuple[int, bytes]:
        monkeypatch.undo()
        another_writes()
        found = head(ledger)
        another_writes()
        return found

    monkeypatch.setattr(ledger, "head", busy)
    assert people.consent.carry_out(request.id) == ledger.size - 1


def test_many_races_end_with_no_veto_before_what_it_was_against(lab: Workspace, people: Desk) -> None:
    for number in range(12):
        request = granted(people)

        def veto(request: Request = request, delay: float = number * 0.004) -> None:
            with Desk(lab, nobody) as other:
                time.sleep(delay)
                with contextlib.suppress(UsageError):  # it was carried out by then
                    other.answer(request, approves=False, name="safety", reason="wait")

        against = threading.Thread(target=veto)
        against.start()
        with contextlib.suppress(RefusedError):
            people.consent.carry_out(request.id)
        against.join()
        executed = [one.index for one in said(people, "execute") if one.predicate["request"] == request.id]
        vetoed = [
            one.index
            for one in said(people, "approval")
            if (one.predicate["request"], one.predicate["answer"]) == (request.id, "veto")
        ]
        assert executed or vetoed
        assert not executed or not vetoed or executed[0] < vetoed[0]
    assert inspect(lab.root).findings == ()
