"""Checked offline: did a cycle begin from what had been recalled by then?

A driver refuses that (`taint.refuse`). One that was changed did not, and one that opened its cycle in the very moment of the recall
could not; either is evident from the order of the entries. A cycle that was abandoned made nothing that counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from loopwright.ledger.audit import Finding
from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.statement import Statement
from loopwright.ledger.taint import Taint, spread, starts

__all__ = ["begun_from_recalled"]


def begun_from_recalled(statements: Iterable[Statement]) -> Iterator[Finding]:
    """Every cycle whose first entry stands after the recall of what it starts from. The log is sound otherwise (`audit`)."""
    told = [
        one for one in statements if one.kind in {"recall", "open"} or (one.kind == "close" and "abandoned" in one.predicate)
    ]
    if not any(one.kind == "recall" for one in told):
        return
    state = fold(statements)
    given_up = {one.predicate["cycle"] for one in told if one.kind == "close"}
    roots: set[str] = set()
    known: Taint | None = None
    for statement in told:
        if statement.kind == "recall":
            roots |= set(statement.predicate["tainted"])
            known = spread(state, roots)
        elif statement.kind == "open" and known is not None and statement.predicate["cycle"] not in given_up:
            yield from _begun(state, known, statement)


def _begun(state: LoopState, known: Taint, opened: Statement) -> Iterator[Finding]:
    said = opened.predicate
    bad = [item.path for item in starts(state, said["parent"], said["prev"]) if known.holds(item)]
    if bad:
        message = f"{said['cycle']} begins from what was recalled before it: {', '.join(dict.fromkeys(bad))}"
        yield Finding(code="recalled-used", where=f"ledger entry {opened.index}", message=message)
