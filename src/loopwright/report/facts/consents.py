"""What persons signed: requests, answers, who let each promotion through, and how carefully they looked."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from loopwright.ledger.acts import Answer, Request
from loopwright.ledger.quorum import is_canary
from loopwright.ledger.taint import promoted
from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.cycles import seconds_between
from loopwright.report.facts.estimates import rate
from loopwright.report.facts.reading import Absent, Reader

__all__ = ["answers", "cycle_of", "duties"]


def duties(see: Reader, key: str) -> str:
    """A key's duties in the policy's quorums, with the note that a demonstration key bears."""
    holding = see.state.roster.holdings.get(key)
    if holding is None:
        return ""
    note = see.state.roster.note(key)
    return ", ".join(holding.principal.duties) + (f" ({note})" if note else "")


def _asked(see: Reader) -> Iterator[Request]:
    for asked in see.requests():
        see.leaf(asked.index)
        yield asked


def answers(see: Reader) -> Iterator[tuple[Request, Answer]]:
    """Every request with each of its answers, planted ones among them."""
    for asked in _asked(see):
        for answer in asked.answers:
            see.leaf(answer.index)
            yield asked, answer


def cycle_of(see: Reader, asked: Request) -> str | None:
    """The cycle that a request names, or whose model it is about."""
    details = asked.said.get("details") or {}
    named = details.get("cycle")
    return (
        str(named)
        if named
        else next((see.source.models[item.digest] for item in asked.subjects if item.digest in see.source.models), None)
    )


def _looked(answer: Answer) -> float | None:
    opened, signed = answer.said.get("opened_at"), answer.said.get("answered_at")
    if not isinstance(opened, str) or not isinstance(signed, str):
        return None
    spent = seconds_between(opened, signed)
    return spent if spent >= 0 else None


@fact("sign.approvals")
def _approvals(see: Reader) -> Any:
    rows = []
    for asked, answer in answers(see):
        said = "approve" if answer.approves else "veto"
        told = [asked.index, asked.action, answer.key, duties(see, answer.key), answer.said.get("answered_at"), _looked(answer)]
        rows.append([*told, said, cycle_of(see, asked), answer.index])
    return table("request action key duties time seconds decision cycle leaf", rows)


@fact("sign.requests")
def _requests(see: Reader) -> Any:
    rows = []
    for asked in _asked(see):
        quorum, evidence = asked.said.get("quorum") or {}, asked.said.get("evidence") or ()
        wanted = f"{quorum.get('persons', '')} {', '.join(quorum.get('duties', ()))}".strip()
        rows.append(
            [asked.index, asked.action, asked.key, wanted, _standing(asked), len(evidence), asked.said.get("requested_at")]
        )
    return table("leaf action proposer quorum state evidence time", rows)


def _standing(asked: Request) -> str:
    if asked.executed is not None:
        return "carried out"
    if asked.canary is not None:
        return "planted"
    return "vetoed" if any(not answer.approves for answer in asked.answers) else "open"


@fact("sign.promotions")
def _promotions(see: Reader) -> Any:
    """Each promoted cycle: the gate's entry, how many persons approved that promotion, on what evidence, and who dissented.

    Planted requests are none.
    """
    rows = []
    champions = set(promoted(see.state))
    for record in [one for one in see.cycles() if one.cycle in champions]:
        name = record.cycle
        done = see.phase("decide", record)
        about = [one for one in _asked(see) if one.action == "promote" and cycle_of(see, one) == name and not is_canary(one)]
        said = [answer for asked in about for answer in asked.answers]
        see.leaf(*(answer.index for answer in said))
        evidence = [item["digest"] for item in done.inputs if item["name"] in {"evaluation", "card"}]
        yes = [answer.key for answer in said if answer.approves]
        rows.append([name, done.index, len({_who(see, key) for key in yes}), ", ".join(yes), len(said) - len(yes), evidence])
    return table("cycle leaf persons keys dissent evidence", rows)


def _who(see: Reader, key: str) -> str:
    """The person behind a key: several keys of one are one person."""
    holding = see.state.roster.holdings.get(key)
    return holding.principal.who if holding else key


@fact("sign.people")
def _people(see: Reader) -> Any:
    signed: dict[str, int] = {}
    for said in see.source.statements:
        signed[said.keyid] = signed.get(said.keyid, 0) + 1
    rows = []
    for key, holding in see.state.roster.holdings.items():
        if holding.principal.role == "person":
            see.leaf(holding.since)
            rows.append(
                [key, holding.principal.kind, duties(see, key), holding.principal.custody, signed.get(key, 0), holding.revoked]
            )
    return table("key kind duties custody entries revoked", rows)


@fact("sign.demo_note")
def _demo_note(see: Reader) -> str:
    see.leaf(0)
    found = {see.state.roster.note(key) for key in see.state.roster.holdings} - {""}
    if not found:
        raise Absent("demo")
    return found.pop()


def _by_persons(see: Reader) -> list[tuple[Request, Answer]]:
    holdings = see.state.roster.holdings
    return [
        (asked, answer)
        for asked, answer in answers(see)
        if answer.key in holdings and holdings[answer.key].principal.role == "person"
    ]


@fact("sign.seconds_with_evidence", "measured")
def _seconds_with_evidence(see: Reader) -> Any:
    found = sorted(spent for _, answer in _by_persons(see) if (spent := _looked(answer)) is not None)
    if not found:
        raise Absent("opened_at")
    return {
        "value": statistics.median(found),
        "low": found[0],
        "high": found[-1],
        "n": len(found),
        "method": "median, least and greatest",
    }


@fact("sign.share_approved", "counted")
def _share_approved(see: Reader) -> Any:
    said = [answer.approves for asked, answer in _by_persons(see) if not is_canary(asked)]
    return rate(sum(said), len(said))


@fact("sign.canary_catch", "counted")
def _canary_catch(see: Reader) -> Any:
    said = [not answer.approves for asked, answer in _by_persons(see) if is_canary(asked)]
    return rate(sum(said), len(said))


@fact("sign.dissent", "counted")
def _dissent(see: Reader) -> int:
    return sum(not answer.approves for asked, answer in answers(see) if not is_canary(asked))


@fact("policy.quorum")
def _quorum(see: Reader) -> Any:
    said = see.opened().get("approvals")
    if not said:
        raise Absent("approvals")
    rows = [[name, said[name]["persons"], ", ".join(said[name]["duties"])] for name in ("ordinary", "strict")]
    return table("quorum persons duties", rows)


@fact("policy.history")
def _history(see: Reader) -> Any:
    rows: list[list[Any]] = []
    for record in see.cycles():
        said = see.opened(record)
        told = [said.get("policy"), said.get("envelope"), record.plan]
        if not rows or rows[-1][1:4] != told:
            rows.append([record.cycle, *told, record.opened_at, record.index])
    return table("cycle policy envelope plan time leaf", rows)


@fact("policy.decisions")
def _decisions(see: Reader) -> Any:
    """Gate decisions, requests and answers in the order of the log."""
    rows: list[list[Any]] = [
        [see.phase("decide", record).index, record.cycle, "gate", record.action, see.signer(record.phases["decide"].index)]
        for record in see.cycles()
        if "decide" in record.phases
    ]
    for asked in _asked(see):
        rows.append([asked.index, cycle_of(see, asked), f"request {asked.action}", _standing(asked), asked.key])
        rows += [
            [one.index, cycle_of(see, asked), f"answer to {asked.index}", "approve" if one.approves else "veto", one.key]
            for one in asked.answers
        ]
    see.leaf(*(row[0] for row in rows))
    return table("leaf cycle event decision signer", sorted(rows, key=lambda row: row[0]))


@fact("policy.retention_holds")
def _retention_holds(see: Reader) -> Any:
    rows = [[one["cycle"], str(one["placed_on_market"]), one["years"]] for one in see.opened().get("retention", ())]
    return table("cycle placed_on_market years", rows)
