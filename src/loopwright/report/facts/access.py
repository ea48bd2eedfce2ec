"""Who can do what, which copies of weights the record knows of, and who looked."""

from __future__ import annotations

from typing import Any

from loopwright.ledger.principals import RIGHTS
from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.reading import Reader


@fact("access.principals")
def _principals(see: Reader) -> Any:
    rows = []
    for key, holding in see.state.roster.holdings.items():
        see.leaf(holding.since)
        one = holding.principal
        rows.append([key, one.kind, one.role, ", ".join(one.duties), one.custody, holding.since, holding.revoked])
    return table("key kind role duties custody since revoked", rows)


@fact("access.persons", "counted")
def _persons(see: Reader) -> int:
    """Persons, not keys: several keys of one person count once."""
    now = see.state.roster.current("person")
    see.leaf(*(see.state.roster.holdings[one.id].since for one in now))
    return len({one.who for one in now})


@fact("access.roles")
def _roles(see: Reader) -> Any:
    see.leaf(0)
    return table("role rights", [[role, ", ".join(sorted(rights))] for role, rights in RIGHTS.items()])


@fact("access.copies")
def _copies(see: Reader) -> Any:
    """Every model artifact of the record; where else a copy lies, no record of this kind can show."""
    rows = []
    for record in see.cycles():
        made = record.artifact("model")
        if made:
            see.artifact("model", record)
            rows.append([record.cycle, made.path, made.digest, sum(one.size for one in see.files(made))])
    return table("cycle path digest bytes", rows)


@fact("access.log_anchors")
def _log_anchors(see: Reader) -> Any:
    rows = []
    for said in see.entries("anchor"):
        told = said.predicate
        see.digests.add(told["digest"])
        rows.append([told["file"], told["lines"], told["digest"], told["anchored_at"], said.index])
    return table("file lines digest time leaf", rows)


@fact("access.accesses", "counted")
def _accesses(see: Reader) -> int:
    return sum(int(row[1]) for row in see.fact("access.log_anchors")["rows"])


@fact("access.never_accessed", "counted")
def _never_accessed(see: Reader) -> bool:
    return not see.fact("access.log_anchors")["rows"]


@fact("access.key_changes")
def _key_changes(see: Reader) -> Any:
    rows = []
    for said in see.entries("enrol", "rotate", "revoke"):
        told = said.predicate
        about = told["principal"] if isinstance(told["principal"], str) else told["principal"]["id"]
        time = next((told[key] for key in ("enrolled_at", "rotated_at", "revoked_at") if key in told), None)
        rows.append([said.index, said.kind, about, said.keyid, time])
    return table("leaf kind key signer time", rows)
