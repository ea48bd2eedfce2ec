"""Letters: what a person is to sign, taken to where their key is, and brought back signed.

A letter is drafted here and signed elsewhere: in the browser that holds the key, or on a machine without the workspace. What comes
back is the entry itself, as it will stand in the log; `loopwright.govern.intake` checks it like an answer that is typed here. A letter
gives nobody a right, and neither does whoever carries it.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loopwright.clock import now
from loopwright.consent import describe
from loopwright.errors import RefusedError, UsageError
from loopwright.govern.answers import Given, version_of, words_of
from loopwright.govern.answers import said_of as said_of_field
from loopwright.govern.requests import Desk, event_of, fields_of, said_of
from loopwright.ledger.acts import Request
from loopwright.ledger.fold import LoopState
from loopwright.ledger.ledger import Draft
from loopwright.ledger.principals import principal_id
from loopwright.ledger.signer import Hand
from loopwright.ledger.statement import pae, payload_of, read_payload, seal
from loopwright.types import Artifact, digest_bytes

__all__ = ["MOMENTS", "Letter", "answer_letter", "ask_letter", "dated", "read_letter", "reply_letter", "sign", "stop_letter"]

MOMENTS: Mapping[str, str] = {"approval": "answered_at", "answer": "answered_at", "halt": "halted_at", "freeze": "frozen_at"}
"""The field of each kind that whoever signs fills in: the moment of signing. A request has none, since its life is counted from its making."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A statement that is to be signed by one key."""

    workspace: str
    keyid: str
    payload: bytes
    """The canonical bytes of the statement, dated with its drafting."""
    about: bytes | None = None
    """What the statement names by its digest: the request that is answered, or the words that answer a field."""
    enclosed: tuple[bytes, ...] = ()
    """The files that those words name. They travel in no letter file: such an answer is signed where it is written."""

    def as_json(self) -> bytes:
        """The file that is taken along."""
        about = base64.b64encode(self.about).decode() if self.about else None
        told = {
            "workspace": self.workspace,
            "keyid": self.keyid,
            "payload": base64.b64encode(self.payload).decode(),
            "about": about,
        }
        return json.dumps({"schema_version": 1, **told}, indent=1).encode() + b"\n"

    def fields(self) -> list[tuple[str, str]]:
        """All that is signed; of an answer also the request, read from the very bytes that the answer names."""
        return [*fields_of(self.payload), *(fields_of(self.about) if self.about else [])]

    @property
    def moment(self) -> str | None:
        """See `MOMENTS`."""
        return MOMENTS.get(read_payload(self.payload)[0])


def read_letter(data: bytes) -> Letter:
    """A letter from its file; UsageError where it is none, RefusedError where it shows another request than it answers."""
    try:
        told = json.loads(data)
        about = base64.b64decode(told["about"], validate=True) if told["about"] else None
        payload = base64.b64decode(told["payload"], validate=True)
        letter = Letter(workspace=str(told["workspace"]), keyid=str(told["keyid"]), payload=payload, about=about)
        kind, _, said = read_payload(payload)
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError) as error:
        raise UsageError(
            f"this is no letter to sign: {error!r}", "the page Decisions gives one, and so does `--offline`"
        ) from error
    if (kind == "approval") != (about is not None) or (about and digest_bytes(about) != said.get("request")):
        raise RefusedError("the letter shows another request than the one that it answers", "sign nothing; fetch it again")
    return letter


def answer_letter(desk: Desk, request: Request, key: str, *, approves: bool, reason: str, opened_at: str | None) -> Letter:
    """What this key signs to answer this request."""
    said = said_of(request, approves=approves, reason=reason, opened_at=opened_at)
    stored = next(desk.ledger.statements(request.index))
    about = payload_of("request", stored.subjects, stored.predicate)
    return _letter(desk, "approval", request.subjects, said, event_of(request, key, said["answer"]), key, about)


def reply_letter(desk: Desk, given: Given, key: str, files: Sequence[tuple[str, str, bytes]] = ()) -> Letter:
    """What this key signs to answer a field of a report, or to give labels; ``files``: name, media type and bytes of each.

    UsageError where nothing is on the record that it could be about, or be withdrawn.
    """
    state = desk.consent.state()
    body = words_of(given, files)
    said = said_of_field(given, version_of(state, given), digest_bytes(body) if body else None)
    letter = _letter(desk, "answer", (), said, f"answer:{uuid.uuid4().hex}", key, body)
    return replace(letter, enclosed=tuple(data for _, _, data in files))


def stop_letter(desk: Desk, kind: str, key: str, reason: str) -> Letter:
    """What this key signs to ``halt`` the loop or to ``freeze`` the workspace; UsageError without a reason."""
    if not reason.strip():
        raise UsageError("a reason is needed: it is what whoever lifts this has to judge")
    said = {"reason": reason.strip(), MOMENTS[kind]: now()}
    return _letter(desk, kind, (), said, f"{kind}:{uuid.uuid4().hex}", key)


def ask_letter(desk: Desk, state: LoopState, action: str, key: str, details: Mapping[str, Any] | None = None) -> Letter:
    """What this key signs to ask persons for something, for example to ``resume``; UsageError where there is nothing to ask of."""
    ask = describe(desk.root, desk.consent.plan, state, action, details or {})
    desk.stands(ask, state)
    said = desk.consent.said(state, ask) | {"proposer": key}
    return _letter(desk, "request", ask.subjects, said, f"request:{said['nonce']}", key)


def _letter(
    desk: Desk,
    kind: str,
    subjects: Sequence[Artifact],
    said: Mapping[str, Any],
    event: str,
    key: str,
    about: bytes | None = None,
) -> Letter:
    payload = desk.ledger.payload(Draft(kind=kind, subjects=subjects, predicate=said, role="person", event=event))
    return Letter(workspace=desk.ledger.workspace, keyid=key, payload=payload, about=about)


def dated(payload: bytes, moment: str | None, at: str) -> bytes:
    """The same statement, signed at this moment; a browser does the same before it signs."""
    kind, subjects, said = read_payload(payload)
    return payload_of(kind, subjects, {**said, moment: at} if moment else said)


def sign(letter: Letter, hand: Hand) -> bytes:
    """The entry, dated now; RefusedError where the hand is not the one that the letter is for."""
    if principal_id(hand.public_key) != letter.keyid:
        raise RefusedError(f"the letter is for key {letter.keyid}, and this is {principal_id(hand.public_key)}")
    payload = dated(letter.payload, letter.moment, now())
    return seal(payload, letter.keyid, hand.sign(pae(payload)))
