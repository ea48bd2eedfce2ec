"""What persons did about the loop, as the record tells it: requests, answers, halts, freezes, recalls, field results, incidents.

A fold that believes and judges nothing: whether a request may be carried out is decided by `loopwright.ledger.quorum`, from these values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from loopwright.ledger.statement import Statement, payload_of
from loopwright.types import Artifact, Digest, digest_bytes

__all__ = ["Acts", "Answer", "Request", "request_id"]


def request_id(statement: Statement) -> Digest:
    """What an answer names: the digest of the request's canonical bytes, so that every byte of it was answered."""
    return digest_bytes(payload_of(statement.kind, statement.subjects, statement.predicate))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One person's signature under a request."""

    index: int
    key: str
    approves: bool
    """False for a veto."""
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Something that needs persons, as it was stored; only the stored one is ever carried out."""

    id: Digest
    index: int
    key: str
    """Who signed it: a person, an agent, or the controller in the name of a run."""
    action: str
    subjects: tuple[Artifact, ...]
    """The artifacts that it is about; none where it is about the loop itself."""
    said: Mapping[str, Any]
    """The whole predicate."""
    answers: tuple[Answer, ...] = ()
    executed: int | None = None
    """The entry that carried it out."""
    canary: str | None = None
    """Of a planted request that was revealed: the salt that opens its commitment (`loopwright.ledger.quorum`)."""


@dataclass(frozen=True, slots=True)
class Acts:
    """Everything of this kind, in the order of the log."""

    requests: Mapping[Digest, Request] = field(default_factory=dict)
    halts: tuple[Statement, ...] = ()
    """Standing ones: an executed request with the action ``resume`` ends all before it."""
    freezes: tuple[Statement, ...] = ()
    """Standing ones: an executed ``unfreeze`` ends all before it."""
    recalls: tuple[Statement, ...] = ()
    observations: tuple[Statement, ...] = ()
    incidents: tuple[Statement, ...] = ()
    """What persons told of incidents, entry by entry; `loopwright.ledger.incidents` puts each together."""
    answers: tuple[Statement, ...] = ()
    """To fields of reports; `loopwright.ledger.answers` reads them."""
    filings: tuple[Statement, ...] = ()
    """Of built reports; `loopwright.ledger.filings` puts the register together."""

    def after(self, statement: Statement) -> Acts:
        """The acts one entry later; other kinds change nothing."""
        kind = statement.kind
        if kind == "request":
            return self._requested(statement)
        if kind == "approval" and "request" in statement.predicate:
            return self._answered(statement)
        if kind == "execute":
            return self._executed(statement)
        if kind == "reveal":
            asked = self.requests[statement.predicate["request"]]
            return self._with(replace(asked, canary=statement.predicate["salt"]))
        if kind in _KEPT:
            return replace(self, **{_KEPT[kind]: (*getattr(self, _KEPT[kind]), statement)})
        return self

    def _requested(self, statement: Statement) -> Acts:
        made = Request(
            id=request_id(statement),
            index=statement.index,
            key=statement.keyid,
            action=statement.predicate["action"],
            subjects=tuple(one for one in statement.subjects if one.kind != "log"),
            said=statement.predicate,
        )
        return self._with(made)

    def _with(self, changed: Request) -> Acts:
        return replace(self, requests={**self.requests, changed.id: changed})

    def _answered(self, statement: Statement) -> Acts:
        said = statement.predicate
        asked = self.requests[said["request"]]
        answer = Answer(index=statement.index, key=statement.keyid, approves=said["answer"] == "approve", said=said)
        return self._with(replace(asked, answers=(*asked.answers, answer)))

    def _executed(self, statement: Statement) -> Acts:
        asked = self.requests[statement.predicate["request"]]
        done = self._with(replace(asked, executed=statement.index))
        if asked.action == "resume":
            return replace(done, halts=())
        return replace(done, freezes=()) if asked.action == "unfreeze" else done


_KEPT = {
    "halt": "halts",
    "freeze": "freezes",
    "recall": "recalls",
    "observation": "observations",
    "answer": "answers",
    "filing": "filings",
    "incident": "incidents",
}
