"""Persons' interventions: halts, freezes, recalls, rollbacks, vetoes, and what the stop drill showed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from loopwright.ledger.acts import Answer, Request
from loopwright.ledger.quorum import is_canary
from loopwright.ledger.statement import Statement
from loopwright.ledger.taint import spread
from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.consents import answers, cycle_of, duties
from loopwright.report.facts.cycles import seconds_between
from loopwright.report.facts.logs import time_of
from loopwright.report.facts.reading import Absent, Reader

__all__ = ["champion_before"]

_WORK = ("phase", "failure", "open", "close")


def _ended(see: Reader, said: Statement, action: str) -> int | None:
    """The first executed request after it that ends acts of its kind."""
    done = [one.executed for one in see.requests() if one.action == action and one.executed and one.executed > said.index]
    see.leaf(*sorted(done)[:1])
    return min(done, default=None)


def champion_before(see: Reader, leaf: int) -> str | None:
    """The champion's cycle just before an entry: persons may have promoted one, or gone back to one, since a cycle was closed."""
    kinds = ("import", "close", "rollback", "execute")
    before = [one for kind in kinds for one in see.source.kinds.get(kind, ()) if one.index < leaf]
    moved = [one for one in before if one.kind != "execute" or one.predicate["action"] == "promote"]
    if not moved:
        return None
    last = max(moved, key=lambda one: one.index)
    see.leaf(last.index)
    return last.predicate.get("champion", last.predicate.get("cycle"))


def _acted(see: Reader, kind: str, ends: str) -> Any:
    rows = [
        [said.index, time_of(said), said.predicate.get("reason"), said.keyid, _ended(see, said, ends)]
        for said in see.entries(kind)
    ]
    return table("leaf time reason signer ended", rows)


@fact("override.halts")
def _halts(see: Reader) -> Any:
    return _acted(see, "halt", "resume")


@fact("override.freezes")
def _freezes(see: Reader) -> Any:
    return _acted(see, "freeze", "unfreeze")


@fact("override.recalls")
def _recalls(see: Reader) -> Any:
    rows = []
    for said in see.entries("recall"):
        reached = spread(see.state, said.predicate["tainted"]).reached
        see.digests.update(said.predicate["tainted"])
        rows.append(
            [
                said.index,
                said.predicate["recalled_at"],
                said.predicate["artifact"],
                said.predicate["reason"],
                said.keyid,
                len(reached),
            ]
        )
    return table("leaf time artifact reason signer reached", rows)


@fact("override.rollbacks")
def _rollbacks(see: Reader) -> Any:
    rows = [
        [said.index, time_of(said), said.predicate["cycle"], said.predicate.get("reason"), said.keyid]
        for said in see.entries("rollback")
    ]
    return table("leaf time cycle reason signer", rows)


@fact("override.vetoes")
def _vetoes(see: Reader) -> Any:
    rows = [
        [one.index, one.said.get("answered_at"), asked.action, one.key, duties(see, one.key), cycle_of(see, asked)]
        for asked, one in _refused(see)
    ]
    return table("leaf time action key duties cycle", rows)


def _refused(see: Reader) -> Iterator[tuple[Request, Answer]]:
    """What persons refused; a planted request is a test of them, and its refusal no act on the loop."""
    return ((asked, one) for asked, one in answers(see) if not one.approves and not is_canary(asked))


def _abandoned(see: Reader) -> Iterator[list[Any]]:
    for said in see.of_kind("close"):
        if "abandoned" in said.predicate:
            see.leaf(said.index)
            yield [
                said.index,
                "abandoned",
                said.predicate["closed_at"],
                str(said.predicate["abandoned"]),
                said.keyid,
                said.predicate["champion"],
            ]


@fact("override.all")
def _everything(see: Reader) -> Any:
    """State reached: what the entry leaves in force."""
    rows = list(_abandoned(see))
    rows += [
        [row[0], "halt", row[1], row[2], row[3], "resumed" if row[4] else "halted"]
        for row in see.fact("override.halts")["rows"]
    ]
    rows += [
        [row[0], "freeze", row[1], row[2], row[3], "lifted" if row[4] else "frozen"]
        for row in see.fact("override.freezes")["rows"]
    ]
    rows += [
        [row[0], "recall", row[1], row[3], row[4], f"{row[5]} artifacts quarantined"]
        for row in see.fact("override.recalls")["rows"]
    ]
    rows += [
        [row[0], "rollback", row[1], row[3], row[4], f"champion {row[2]}"] for row in see.fact("override.rollbacks")["rows"]
    ]
    rows += [
        [one.index, "veto", one.said.get("answered_at"), one.said.get("reason") or asked.action, one.key, "not carried out"]
        for asked, one in _refused(see)
    ]
    return table("leaf kind time reason signer state", sorted(rows, key=lambda row: row[0]))


@fact("override.counts", "counted")
def _counts(see: Reader) -> dict[str, int]:
    found = Counter(row[1] for row in see.fact("override.all")["rows"])
    return {kind: found[kind] for kind in ("halt", "freeze", "recall", "rollback", "veto", "abandoned")}


@fact("override.none", "counted")
def _none(see: Reader) -> bool:
    return not any(see.fact("override.counts").values())


@fact("override.never_halted", "counted")
def _never_halted(see: Reader) -> bool:
    return not see.entries("halt")


@fact("override.standing")
def _standing(see: Reader) -> list[str]:
    see.head()
    found = (*see.state.acts.halts, *see.state.acts.freezes)
    see.leaf(*(one.index for one in found))
    return [f"{one.kind} (entry {one.index}): {one.predicate['reason']}" for one in found]


@fact("override.last_halt")
def _last_halt(see: Reader) -> str | None:
    found = see.entries("halt")
    if not found:
        raise Absent("halt")
    return str(found[-1].predicate["halted_at"])


@fact("override.drill", "measured")
def _drill(see: Reader) -> Any:
    """Of each halt: seconds until the last entry of work before persons let it go on; 0 where none came after it."""
    rows = []
    for said in see.entries("halt"):
        end = _ended(see, said, "resume") or len(see.source.statements)
        after = [one for one in see.source.statements[said.index + 1 : end] if one.kind in _WORK]
        see.leaf(*(one.index for one in after))
        last = time_of(after[-1]) if after else None
        spent = max(0.0, seconds_between(said.predicate["halted_at"], last)) if last else 0.0
        rows.append([said.index, said.predicate["halted_at"], spent, len(after), champion_before(see, end)])
    return table("leaf time seconds entries champion", rows)


@fact("override.corrective")
def _corrective(see: Reader) -> Any:
    """Means that the platform has, and how often each was used in this record."""
    used = see.fact("override.counts")
    means = {
        "halt": "loopwright halt",
        "freeze": "loopwright halt --freeze",
        "rollback": "loopwright rollback",
        "recall": "loopwright recall",
    }
    return table("kind command used", [[kind, command, used[kind]] for kind, command in means.items()])
