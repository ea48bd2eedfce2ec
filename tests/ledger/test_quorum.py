"""No path where who asks approves; enough distinct persons, the right duties, the same bytes, in time, and a veto wins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.ledger.acts import Answer, Request
from loopwright.ledger.principals import Principal
from loopwright.ledger.quorum import InForce, Standing, commitment, excluded, is_canary, is_real, standing
from loopwright.ledger.roster import Holding, Roster
from loopwright.types import Artifact

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SUBJECT = Artifact(kind="model", digest="sha256:" + "1" * 64, path="cycles/c0003/model")
EVIDENCE = "sha256:" + "2" * 64


def at(hours: float) -> str:
    return (NOON + timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Log:
    """What the rule reads of the record."""

    roster: Roster
    latest: str = at(1)
    workspace: str = "lab"
    demo: bool = False


FORCE = InForce(
    policy="sha256:policy", persons=1, duties=(), hours=72.0, subjects=(SUBJECT,), evidence=(EVIDENCE,), details={"cycle": "c0003"}
)  # fmt: skip


def person(key: str, **more: Any) -> Principal:
    return Principal(**{"id": key, "role": "person", "kind": "person", "public_key": "", "custody": "passphrase", **more})


def service(key: str) -> Principal:
    return person(key, role="controller", kind="service")


def roster(*principals: Principal, **ended: Holding) -> Roster:
    holdings = {one.id: Holding(principal=one, since=0, by=one.id) for one in principals}
    return Roster(demo=False, holdings={**holdings, **ended})


def request(*answers: Answer, key: str = "run", **said: Any) -> Request:
    told = {
        "workspace": "lab", "by": "run", "proposer": key, "launchers": ["ada"], "policy": FORCE.policy, "evidence": [EVIDENCE],
        "quorum": {"persons": FORCE.persons, "duties": list(FORCE.duties)}, "details": {"cycle": "c0003"},
        "requested_at": at(0), "expires_at": at(72),
    }  # fmt: skip
    return Request(
        id="sha256:r", index=10, key=key, action="promote", subjects=(SUBJECT,), said={**told, **said}, answers=answers
    )  # fmt: skip


def yes(key: str, index: int = 11, hours: float = 1, **said: Any) -> Answer:
    return Answer(index=index, key=key, approves=True, said={"answered_at": at(hours), **said})


def no(key: str, index: int = 12) -> Answer:
    return replace(yes(key, index), approves=False)


LAB = Log(roster(service("run"), person("ada"), person("bob", duties=("safety",)), person("eve")))


def of(asked: Request, log: Log = LAB, force: InForce = FORCE, hours: float = 2) -> Standing:
    return standing(asked, log, force, at(hours))


def test_one_other_person_grants() -> None:
    assert of(request(yes("bob"))) == Standing(status="granted", reasons=(), approvals=(11,))
    assert of(request()) == Standing(status="open", reasons=(), missing=("1 more person",))


def test_persons_are_counted_and_not_keys() -> None:
    two, log = replace(FORCE, persons=2), replace(LAB, roster=roster(*_all(LAB), person("bob 2", person="bob")))
    asked = request(yes("bob"), yes("bob 2", 12), quorum={"persons": 2, "duties": []})
    assert of(asked, log, two).missing == ("1 more person",)
    assert of(replace(asked, answers=(*asked.answers, yes("eve", 13))), log, two).approvals == (11, 13)


def _all(log: Log) -> list[Principal]:
    return [one.principal for one in log.roster.holdings.values()]


def test_named_duties_must_be_among_them() -> None:
    force, said = replace(FORCE, duties=("safety",)), {"quorum": {"persons": 1, "duties": ["safety"]}}
    assert of(request(yes("eve"), **said), force=force).missing == ("a person with the duty 'safety'",)
    assert of(request(yes("bob"), **said), force=force).status == "granted"
    assert of(request(**said), force=replace(force, persons=3)).status == "void", "another quorum than it says"
    three = {"quorum": {"persons": 3, "duties": []}}
    assert of(request(**three), force=replace(FORCE, persons=3)).missing == ("3 more persons",)


@pytest.mark.parametrize("who", ["ada", "eve", "ada 2", "owner"])
def test_who_asks_launches_or_owns_the_agent_never_approves(who: str) -> None:
    agent = person("bot", role="agent", kind="agent", owner="owner", model="sha256:m")
    log = replace(LAB, roster=roster(*_all(LAB), person("ada 2", person="ada"), person("owner"), agent))
    log = replace(log, roster=replace(log.roster, holdings={**log.roster.holdings}))
    mine = {"eve": request(yes("eve"), key="eve", by=None, launchers=[])}
    asked = mine.get(who, request(yes(who), key="bot", by="agent", proposer="bot", launchers=["ada", "ghost"]))
    found = of(asked, log)
    assert (found.status, found.approvals) == ("open", ())
    assert "does not count" in found.reasons[0]


def test_a_veto_wins_whoever_else_agrees_even_that_of_who_asked() -> None:
    for vetoer in ("eve", "ada"):
        found = of(request(yes("bob"), no(vetoer)))
        assert (found.status, found.reasons) == ("vetoed", (f"key {vetoer} said no (entry 12)",))


@pytest.mark.parametrize(
    ("said", "force", "words"),
    [
        ({"workspace": "another"}, {}, "another workspace"),
        ({"policy": "sha256:old"}, {}, "policy has changed"),
        ({}, {"policy": "sha256:new"}, "policy has changed"),
        ({}, {"subjects": (replace(SUBJECT, digest="sha256:" + "9" * 64),)}, "what it is about"),
        ({}, {"subjects": ()}, "what it is about"),
        ({}, {"evidence": ()}, "evidence"),
        ({}, {"details": {"cycle": "c0004"}}, "what would be done"),
        ({"proposer": "ghost"}, {}, "nobody known"),
        ({"by": None, "proposer": "bob"}, {}, "another key than its proposer's"),
        ({"quorum": {"persons": 1, "duties": ["safety"]}}, {}, "another quorum"),
        ({"expires_at": at(73)}, {}, "does not expire within 72 hours"),
        ({"expires_at": at(-1)}, {}, "does not expire"),
        ({"expires_at": "2026-01-04T12:00:00"}, {}, "does not expire"),
        ({"requested_at": "yesterday"}, {}, "does not expire"),
    ],
)
def test_another_matter_is_void(said: dict[str, Any], force: dict[str, Any], words: str) -> None:
    found = of(request(yes("bob"), **said), force=replace(FORCE, **force))
    assert found.status == "void"
    assert any(words in reason for reason in found.reasons)


def test_an_executed_one_is_over() -> None:
    assert of(replace(request(yes("bob")), executed=14)).status == "executed"


def test_keys_that_were_revoked_do_not_count_and_nor_does_what_they_asked() -> None:
    bob = Holding(principal=person("bob"), since=0, by="ada", revoked=20, void_from=11)
    for approved_at, status in ((11, "open"), (10, "open")):
        log = replace(LAB, roster=replace(LAB.roster, holdings={**LAB.roster.holdings, "bob": bob}))
        assert of(request(yes("bob", approved_at)), log).status == status
    late = replace(bob, void_from=12)
    log = replace(LAB, roster=replace(LAB.roster, holdings={**LAB.roster.holdings, "bob": late}))
    assert of(request(yes("bob")), log).status == "granted", "what it signed before counts"
    asked = request(key="bob", by=None, proposer="bob", launchers=[])
    log = replace(LAB, roster=replace(LAB.roster, holdings={**LAB.roster.holdings, "bob": replace(bob, void_from=10)}))
    assert "does not count" in of(asked, log).reasons[0]


@pytest.mark.parametrize("stranger", ["run", "bot", "demo", "ghost"])
def test_only_persons_approve_and_demonstration_keys_only_in_a_demonstration(stranger: str) -> None:
    more = [person("bot", role="agent", kind="agent", owner="ada", model="m"), person("demo", kind="demo")]
    log = replace(LAB, roster=roster(*_all(LAB), *more))
    found = of(request(yes(stranger)), log)
    assert (found.status, found.reasons) == ("open", ("entry 11 does not count: no person's key in force",))
    assert of(request(yes("demo")), replace(log, demo=True)).status == "granted"


def test_an_answer_before_its_request_is_none() -> None:
    assert of(request(yes("bob", 9))).status == "open"


@pytest.mark.parametrize(
    ("now", "status", "words"),
    [
        (72, "expired", "before 2026-01-05"),
        (24 * 365, "expired", ""),
        (-24 * 365, "open", "the clock here says"),
        (0.5, "open", "the clock here says"),
        (0.9, "granted", ""),
    ],
)
def test_a_clock_that_is_off_denies(now: float, status: str, words: str) -> None:
    found = of(request(yes("bob")), hours=now)
    assert found.status == status
    assert words in "".join(found.reasons)


@pytest.mark.parametrize(("signed", "status"), [(-24 * 365, "open"), (24 * 365, "open"), (2.1, "granted"), (-0.1, "granted")])
def test_a_signature_by_a_clock_that_is_off_does_not_count(signed: float, status: str) -> None:
    assert of(request(yes("bob", hours=signed))).status == status
    assert of(request(yes("bob", answered_at="soon"))).status == "open"


def test_what_the_record_has_seen_is_later_than_any_clock() -> None:
    assert of(request(yes("bob")), replace(LAB, latest=at(80))).status == "open", "the clock is behind the record"
    assert of(request(yes("bob")), replace(LAB, latest=at(72.05)), hours=71.95).status == "expired"
    assert of(request(yes("bob")), replace(LAB, latest="")).status == "granted"
    assert of(request(yes("bob"), requested_at=at(24 * 365), expires_at=at(24 * 365 + 1))).status == "open"
    assert standing(request(yes("bob")), LAB, FORCE, "no clock").missing == ("a clock that is right",)


def test_a_planted_request_cannot_be_opened_as_a_real_one() -> None:
    planted = request(commitment=commitment("salt", "canary"))
    assert not is_real(planted, "salt")
    assert not is_real(planted, None)
    assert is_real(request(commitment=commitment("salt", "real")), "salt")
    assert is_real(request(), None)
    assert is_canary(replace(planted, canary="salt"))
    assert not is_canary(planted)
    assert not is_canary(replace(planted, canary="pepper"))


# ------------------------------------------------------------------------------------------------ over random graphs

KEYS = [f"k{number}" for number in range(8)]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Log, Request, InForce]:
    """Persons with several keys, agents with owners, services, revocations; anybody asks, launches and answers."""
    holdings = {}
    for key in KEYS:
        kind = draw(st.sampled_from(["person", "person", "person", "demo", "agent", "service"]))
        role = {"demo": "person", "service": "controller"}.get(kind, kind)
        who = draw(st.sampled_from([None, "p0", "p1", "p2", "p3"])) if role == "person" else None
        owner = draw(st.sampled_from(KEYS)) if kind == "agent" else None
        duties = tuple(draw(st.sets(st.sampled_from(["safety", "owner"]))))
        principal = person(key, role=role, kind=kind, person=who, owner=owner, duties=duties)
        void = draw(st.none() | st.integers(1, 20))
        holdings[key] = Holding(principal=principal, since=0, by=key, revoked=void and 25, void_from=void)
    answers = draw(
        st.lists(st.builds(Answer, index=st.integers(8, 20), key=st.sampled_from(KEYS), approves=st.sampled_from([True] * 9 + [False]),
                           said=st.just({"answered_at": at(1)})), max_size=6, unique_by=lambda one: one.index)
    )  # fmt: skip
    persons, duties = draw(st.integers(1, 3)), tuple(sorted(draw(st.sets(st.sampled_from(["safety", "owner"])))))
    proposer = draw(st.sampled_from(KEYS))
    by = draw(st.sampled_from([None, "agent", "run"]))
    asked = request(
        *answers, key=draw(st.sampled_from(KEYS)) if by == "run" else proposer, by=by, proposer=proposer,
        launchers=draw(st.lists(st.sampled_from(KEYS), max_size=2)), quorum={"persons": persons, "duties": list(duties)},
    )  # fmt: skip
    return Log(Roster(demo=False, holdings=holdings)), asked, replace(FORCE, persons=persons, duties=duties)


@given(graphs())
def test_no_path_where_who_asks_approves(graph: tuple[Log, Request, InForce]) -> None:
    log, asked, force = graph
    found, holders = of(asked, log, force), log.roster.holdings
    signers = [holders[answer.key] for answer in asked.answers if answer.index in found.approvals]
    asking = [holders[key].principal for key in (asked.key, asked.said["proposer"], *asked.said["launchers"])]
    barred = {one.who for one in asking} | {holders[one.owner].principal.who for one in asking if one.owner}
    assert {one.principal.who for one in signers}.isdisjoint(barred)
    assert barred <= set(excluded(asked, log.roster))
    assert len({one.principal.who for one in signers}) == len(signers), "one a person"
    assert all(one.principal.kind == "person" for one in signers)
    assert all(log.roster.counts(answer.key, answer.index) for answer in asked.answers if answer.index in found.approvals)
    if found.status == "granted":
        everything = [holders[answer.key].principal for answer in asked.answers if answer.approves]
        assert len(signers) >= force.persons
        assert {
            duty for one in everything if one.who in {each.principal.who for each in signers} for duty in one.duties
        } >= set(force.duties)
        vetoes = [answer for answer in asked.answers if not answer.approves and answer.index > asked.index]
        assert not any(
            holders[answer.key].principal.kind == "person" and log.roster.counts(answer.key, answer.index) for answer in vetoes
        )


@given(graphs(), st.sampled_from(["policy", "subjects", "evidence", "details", "workspace", "expires_at"]))
def test_any_change_voids(graph: tuple[Log, Request, InForce], what: str) -> None:
    log, asked, force = graph
    other: dict[str, Any] = {"policy": "sha256:x", "subjects": (), "evidence": (), "details": {}}
    if what in other:
        force = replace(force, **{what: other[what]})
    else:
        asked = replace(asked, said={**asked.said, what: "another"})
    assert of(asked, log, force).status == "void"
