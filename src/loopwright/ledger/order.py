"""The order in which things may happen, by the order of the entries: what a log must satisfy beyond its signatures.

One genesis, first. One cycle open at a time; a phase, a failure or a close belongs to the open one. Fencing tokens
never go back. No event and no attempt is told twice. What a phase used is what was last recorded at that path. What is answered
or carried out was asked for in this log, and is carried out once. An incident is opened once, and told of until it is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from loopwright.ledger.acts import request_id
from loopwright.ledger.statement import Statement

__all__ = ["disorder"]

Problem = tuple[int, str, str]
"""Entry, code, message."""


class _Walk:
    """What has been seen so far."""

    def __init__(self) -> None:
        self.open: str | None = None
        self.cycles: set[str] = set()
        self.fence = 0
        self.attempts: set[tuple[str, int]] = set()
        self.events: set[str] = set()
        self.made: dict[str, str] = {}
        self.asked: set[str] = set()
        self.done: set[str] = set()
        self.incidents: dict[str, bool] = {}

    def opened(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if self.open is not None:
            yield "order", f"{said['cycle']} opens while {self.open} is open"
        if said["cycle"] in self.cycles:
            yield "order", f"{said['cycle']} opens a second time"
        if said["fence"] < self.fence:
            yield "fence-went-back", f"fencing token {said['fence']} after {self.fence}: a driver that had lost its lease"
        self.open, self.fence = said["cycle"], max(self.fence, said["fence"])
        self.cycles.add(said["cycle"])

    def within(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if said["cycle"] != self.open:
            yield "order", f"belongs to {said['cycle']}, but {self.open or 'no cycle'} is open"

    def phase(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from self.within(said)
        attempt = (said["key"], said["attempt"])
        if attempt in self.attempts:
            yield "attempt-repeated", f"attempt {said['attempt']} of {said['phase']} in {said['cycle']} is told twice"
        self.attempts.add(attempt)
        for used in said["inputs"]:
            made = self.made.get(used["path"], used["digest"])
            if used["digest"] != made:
                yield "input-differs", f"{said['phase']} used a {used['path']} other than the one recorded before it"
        self.made.update((output["path"], output["digest"]) for output in said["outputs"])

    def closed(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from self.within(said)
        self.open = None

    def imported(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if self.open is not None:
            yield "order", f"a past is brought in while {self.open} is open"
        self.cycles.update(record["cycle"] for record in said["cycles"])
        self.made.update((brought["path"], brought["digest"]) for brought in said["artifacts"])

    def rolled_back(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if said["cycle"] not in self.cycles:
            yield "order", f"back to {said['cycle']}, which this log does not know"

    def answered(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if said.get("request", "") not in {"", *self.asked}:
            yield "request-unknown", f"speaks of {said['request'][:15]}…, which nobody asked for in this log"

    def executed(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield from self.answered(said)
        if said["request"] in self.done:
            yield "request-executed", f"carries out {said['request'][:15]}… a second time"
        self.done.add(said["request"])

    def told(self, said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """An incident is opened once, and told of while it is open; True where it is."""
        name, act = said["incident"], said["act"]
        if (act == "open") == (name in self.incidents):
            yield "order", f"{act}s {name}, which was {'opened before' if act == 'open' else 'never opened'}"
        elif act != "open" and not self.incidents[name]:
            yield "order", f"tells of {name} after it was closed"
        self.incidents[name] = act != "close"


def disorder(statements: Iterable[Statement]) -> Iterator[Problem]:
    """Every entry that may not stand where it stands. The statements are well formed (`schema.problems`)."""
    walk = _Walk()
    rules: Mapping[str, Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]] = {
        "open": walk.opened,
        "phase": walk.phase,
        "failure": walk.within,
        "close": walk.closed,
        "import": walk.imported,
        "rollback": walk.rolled_back,
        "approval": walk.answered,
        "execute": walk.executed,
        "incident": walk.told,
    }
    for statement in statements:
        if (statement.kind == "genesis") != (statement.index == 0):
            yield statement.index, "order", "a log has one genesis entry, its first"
        if statement.event in walk.events:
            yield statement.index, "event-repeated", f"the event {statement.event!r} is in the log already"
        walk.events.add(statement.event)
        if statement.kind == "request":
            walk.asked.add(request_id(statement))
        if statement.kind in rules:
            for code, message in rules[statement.kind](statement.predicate):
                yield statement.index, code, message
