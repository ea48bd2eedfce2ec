"""What was signed elsewhere comes in: checked against the record by the same rules as what is typed here, then appended as it is.

Whoever brings it has no say: the signature must be an enrolled person's over exactly these bytes, the bytes must say nothing but what
their kind may say, and what they answer or ask for must stand in this log, now. A letter comes in once.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from loopwright.clock import now
from loopwright.consent import ACTIONS, describe, in_force
from loopwright.errors import RefusedError, UsageError
from loopwright.govern.answers import Given, covered, version_of
from loopwright.govern.letters import MOMENTS, Letter
from loopwright.govern.requests import Desk, event_of
from loopwright.ledger.acts import Request
from loopwright.ledger.answers import MEDIA_TYPE, lay_down
from loopwright.ledger.fold import LoopState
from loopwright.ledger.hands import SignedElsewhere
from loopwright.ledger.merkle import CompactRange, leaf_hash
from loopwright.ledger.principals import Principal, signed_by
from loopwright.ledger.quorum import SKEW
from loopwright.ledger.schema import problems
from loopwright.ledger.signer import signable
from loopwright.ledger.statement import MAX_ENVELOPE, payload_of, read_payload, unseal
from loopwright.types import Artifact, digest_bytes

__all__ = ["Taken", "take"]

_ANSWER = {"request", "answer", "reason", "opened_at", "answered_at"}
_REQUEST = {
    "action", "details", "evidence", "policy", "quorum", "workspace", "launchers", "nonce", "checkpoint", "requested_at", "expires_at",
    "proposer",
}  # fmt: skip
_REPLY = {"field", "about", "version", "state", "digest", "media_type", "document", "confirms", "answered_at"}
_ONCE = re.compile(r"(halt|freeze|request|answer):[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came in."""

    index: int
    """Its entry."""
    kind: str
    said: Mapping[str, Any]
    request: str | None
    """The request that it answers, or is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Brought:
    desk: Desk
    state: LoopState
    holder: Principal
    kind: str
    subjects: tuple[Artifact, ...]
    said: Mapping[str, Any]
    payload: bytes
    drafted: Letter | None = None

    @property
    def event(self) -> str:
        return self.said["event"]


def take(desk: Desk, data: bytes, drafted: Letter | None = None, *, answers: str | None = None) -> Taken:
    """Append what these bytes, a signed letter, say.

    ``drafted``: what was shown to whoever signed; then nothing but the moment of signing may differ from it. ``answers``: the one
    request that it may be an answer to, where whoever brings it stands before that.

    Raises:
        UsageError: the bytes are no signed letter; the request is over; there is nothing to ask of.
        RefusedError: the signature is not that of an enrolled person over these bytes; they say something else than they may, than
            was shown, or than stands here; they came in before, or too late.
    """
    brought, key = _opened(desk, data)
    if drafted is not None and not _as_drafted(brought.payload, drafted):
        raise RefusedError("what was signed is not what was shown", "nothing was recorded; read it again, then sign")
    if answers is not None and brought.said.get("request") != answers:
        raise RefusedError("it is no answer to this request", "nothing was recorded")
    brought = replace(brought, drafted=drafted)
    _fresh(brought)
    _CHECKS[brought.kind](brought)
    said = {name: value for name, value in brought.said.items() if name != "event"}
    index = desk.ledger.append(brought.kind, brought.subjects, said, role="person", event=brought.event, hand=key)
    desk.ledger.publish()
    if brought.kind == "freeze":
        desk.cover()  # as where it's typed
    if brought.kind == "answer":
        covered(desk, said["field"])
    asked = digest_bytes(brought.payload) if brought.kind == "request" else said.get("request")
    return Taken(index=index, kind=brought.kind, said=said, request=asked)


def _opened(desk: Desk, data: bytes) -> tuple[_Brought, SignedElsewhere]:
    """The letter with who signed it; the signature is checked here, and once more by `Ledger.append`."""
    try:
        if len(data) > MAX_ENVELOPE:
            raise ValueError(f"{len(data)} bytes")
        envelope = unseal(data)
        kind, subjects, said = read_payload(envelope.payload)
        well_formed = payload_of(kind, subjects, said) == envelope.payload and not problems(kind, said)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"this is no signed letter: {error}", "`loopwright sign LETTER` makes one") from error
    state = desk.consent.state()
    holder = state.roster.holder(envelope.keyid)
    if holder is None or holder.role != "person":
        raise RefusedError(f"key {envelope.keyid} is no person's who is enrolled here", "`loopwright keys list`")
    if kind not in _CHECKS or not well_formed:
        raise RefusedError(
            f"a letter does not say {kind!r} in this form", "the page Decisions, or `--offline`, gives one that does"
        )
    if not signed_by(holder, envelope.signature, signable("person", desk.ledger.workspace, envelope.payload)):
        raise RefusedError(f"the signature is not that of key {envelope.keyid} over these bytes", "nothing was recorded")
    key = SignedElsewhere(base64.b64decode(holder.public_key), envelope.signature)
    return _Brought(
        desk=desk, state=state, holder=holder, kind=kind, subjects=subjects, said=said, payload=envelope.payload
    ), key  # fmt: skip


def _as_drafted(payload: bytes, drafted: Letter) -> bool:
    def told(data: bytes) -> Any:
        kind, subjects, said = read_payload(data)
        return kind, subjects, {name: value for name, value in said.items() if name != MOMENTS.get(kind)}

    return told(payload) == told(drafted.payload)


def _fresh(brought: _Brought) -> None:
    """Nothing of this name is on the record: a letter comes in once."""
    for one in brought.desk.ledger.statements():
        if one.predicate.get("event") == brought.event:
            raise RefusedError(f"this came in before: it is entry {one.index}", "`loopwright answer --all`")


def _only(brought: _Brought, fields: set[str], subjects: tuple[Artifact, ...]) -> None:
    """It says what its kind says and nothing else, about what it must be about."""
    more = sorted(set(brought.said) - fields - {"event"})
    lacks = sorted(fields - set(brought.said))
    if more or lacks:
        raise RefusedError(f"it says too much or too little: {', '.join((*more, *lacks))}")
    if brought.subjects != (subjects or (_log(brought.desk),)):
        raise RefusedError("it is about something else than this log, or than the request that it answers")


def _log(desk: Desk) -> Artifact:
    [first] = desk.ledger.entries_from(0, 1)
    return Artifact(kind="log", digest=digest_bytes(first), path="ledger")


def _time(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise RefusedError(f"{value!r} is no moment") from error
    if found.tzinfo is None:
        raise RefusedError(f"{value!r} is no moment: it has no time zone")
    return found


def _dated(value: Any, earliest: datetime) -> None:
    """Signed neither before it could be, nor by a clock that is ahead."""
    at, here = _time(value), _time(now())
    if not earliest <= at <= here + SKEW:
        raise RefusedError(
            f"it was signed at {value} by its own clock, which is not between {earliest.isoformat()} and now ({here.isoformat()})",
            "set the clock where it was signed, and sign anew",
        )


def _answer(brought: _Brought) -> None:
    state, said = brought.state, brought.said
    request = state.acts.requests.get(said.get("request", ""))
    if request is None:
        raise RefusedError("it answers a request that is not in this record", "`loopwright answer` lists those that are")
    _only(brought, _ANSWER, request.subjects)
    if said["answer"] not in {"approve", "veto"} or not isinstance(said["reason"], str):
        raise RefusedError("it says neither yes nor no")
    if brought.event != event_of(request, brought.holder.id, said["answer"]):
        raise RefusedError("it bears another name than an answer of this key to this request")
    _dated(said["answered_at"], _time(request.said["requested_at"]) - SKEW)
    if said["opened_at"] is not None:
        _time(said["opened_at"])
    brought.desk.answerable(request, state, brought.holder, approves=said["answer"] == "approve")


def _stop(brought: _Brought) -> None:
    moment = MOMENTS[brought.kind]
    _only(brought, {"reason", moment}, ())
    _named(brought)
    if not isinstance(brought.said["reason"], str) or not brought.said["reason"].strip():
        raise UsageError("a reason is needed: it is what whoever lifts this has to judge")
    hours = in_force(brought.state, brought.desk.consent.plan)[1].expires_hours
    _dated(brought.said[moment], _time(now()) - timedelta(hours=hours))


def _named(brought: _Brought) -> None:
    """A name that no other statement will ever want: the record keeps each name once."""
    if not _ONCE.fullmatch(brought.event) or not brought.event.startswith(f"{brought.kind}:"):
        raise RefusedError("it bears a name that is not its own")


def _request(brought: _Brought) -> None:
    state, said, consent = brought.state, brought.said, brought.desk.consent
    subjects = tuple(one for one in brought.subjects if one.kind != "log")
    _only(brought, _REQUEST, subjects)
    _named(brought)
    if said["action"] not in ACTIONS or said["proposer"] != brought.holder.id or said["launchers"] != []:
        raise RefusedError("it asks for what nobody is asked for, or in another's name")
    if brought.event != f"request:{said['nonce']}":
        raise RefusedError("it bears another name than its nonce")
    try:
        brought.desk.stands(describe(brought.desk.root, consent.plan, state, said["action"], said["details"]), state)
    except (KeyError, TypeError) as error:
        raise RefusedError(f"it does not say what it asks for: {error!r}") from error
    _dated(said["requested_at"], _time(now()) - timedelta(hours=in_force(state, consent.plan)[1].expires_hours))
    asked = Request(
        id=digest_bytes(brought.payload),
        index=state.leaves,
        key=brought.holder.id,
        action=said["action"],
        subjects=subjects,
        said=said,
    )
    found = consent.standing(asked, state)
    if found.status != "open":
        raise RefusedError(f"it could not be granted: it is {found.status}: {'; '.join(found.reasons)}", "draft it anew")
    _in_this_log(brought)


def _reply(brought: _Brought) -> None:
    """An answer to a field comes in with its words, which whoever drafted it holds; they are laid down before it is on the record."""
    said, drafted, root = brought.said, brought.drafted, brought.desk.root
    if drafted is None:
        raise RefusedError("its words are not in it", "it is signed on the page where it was written")
    _only(brought, _REPLY, ())
    _named(brought)
    given = Given(field=said["field"], document=said["document"], about=said["about"], state=said["state"])
    if said["version"] != version_of(brought.state, given):
        raise RefusedError("another answer to this came in meanwhile", "read it, then answer anew")
    words = None if drafted.about is None else digest_bytes(drafted.about)
    if (said["digest"], said["media_type"]) != (words, MEDIA_TYPE if words else None):
        raise RefusedError("it names other words than those that were shown", "nothing was recorded")
    _dated(
        said["answered_at"], _time(now()) - timedelta(hours=in_force(brought.state, brought.desk.consent.plan)[1].expires_hours)
    )
    if drafted.about is not None:
        lay_down(root, drafted.about, drafted.enclosed)


def _in_this_log(brought: _Brought) -> None:
    told, entries = brought.said["checkpoint"], brought.desk.ledger.entries()
    tree = CompactRange().extend(map(leaf_hash, entries[: told["size"]]))
    if told["size"] > len(entries) or base64.b64encode(tree.root()).decode() != told["root"]:
        raise RefusedError("it was drafted in another log than this one", "draft it anew")


_CHECKS: Mapping[str, Callable[[_Brought], None]] = {
    "approval": _answer,
    "halt": _stop,
    "freeze": _stop,
    "request": _request,
    "answer": _reply,
}
