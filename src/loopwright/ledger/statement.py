"""What is signed: an in-toto Statement v1 in a DSSE envelope, whose stored bytes are a leaf of the log.

Sources: in-toto Attestation Framework v1 (Statement), DSSE v1.0.2 (envelope and pre-authentication encoding),
RFC 8785 (canonical JSON). Normative for this project: `docs/ledger-format.md`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loopwright.types import Artifact, Digest, canonical

__all__ = [
    "MAX_ENVELOPE",
    "PAYLOAD_TYPE",
    "Envelope",
    "Statement",
    "pae",
    "payload_of",
    "read_payload",
    "read_statement",
    "seal",
    "unseal",
]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
"""DSSE payload type of every statement."""

MAX_ENVELOPE = 65_535
"""Bytes: an entry bundle prefixes each entry with its length as an unsigned 16-bit number."""

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = re.compile(r"urn:loopwright:([a-z][a-z0-9-]*):v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A DSSE envelope with its one signature, decoded."""

    payload: bytes
    keyid: str
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One entry of the log: who said what about which bytes."""

    index: int
    """Place in the log; the order of events goes by this, never by a clock."""
    kind: str
    """``genesis``, ``open``, ``phase``, ``close`` and so on: `loopwright.ledger.schema` lists them."""
    subjects: tuple[Artifact, ...]
    predicate: Mapping[str, Any]
    """What is said, as plain JSON; its fields by kind are in `loopwright.ledger.schema`."""
    keyid: str
    """Principal whose key signed it. Reading does not check the signature; `loopwright.ledger.verify` does."""

    @property
    def event(self) -> str:
        """The idempotency key under which it was appended."""
        return self.predicate["event"]


def _subject(artifact: Artifact) -> dict[str, Any]:
    digest = {"sha256": artifact.digest.removeprefix("sha256:")}
    return {"name": artifact.path, "digest": digest, "annotations": {"kind": artifact.kind}}


def payload_of(kind: str, subjects: Sequence[Artifact], predicate: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a Statement; ValueError where a value has no canonical form (NaN, integers beyond 2^53)."""
    return canonical(
        {
            "_type": _STATEMENT,
            "subject": [_subject(artifact) for artifact in subjects],
            "predicateType": f"urn:loopwright:{kind}:v1",
            "predicate": predicate,
        }
    )


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """DSSE pre-authentication encoding: the bytes that are signed, so that type and body cannot be confused."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, keyid: str, signature: bytes) -> bytes:
    """The envelope's bytes, themselves canonical JSON: this is what is stored, and the leaf of the tree."""
    signatures = [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}]
    return canonical({"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE, "signatures": signatures})


def _decoded(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def unseal(data: bytes) -> Envelope:
    """Decode an envelope; ValueError unless it is one of ours with exactly one signature."""
    try:
        value = json.loads(data)
        if value["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"payload type {value['payloadType']!r}")
        [signature] = value["signatures"]
        return Envelope(payload=_decoded(value["payload"]), keyid=signature["keyid"], signature=_decoded(signature["sig"]))
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a DSSE envelope: {error!r}") from error


def _artifact(subject: Mapping[str, Any]) -> Artifact:
    digest: Digest = "sha256:" + subject["digest"]["sha256"]
    return Artifact(kind=subject["annotations"]["kind"], digest=digest, path=subject["name"])


def read_payload(payload: bytes) -> tuple[str, tuple[Artifact, ...], dict[str, Any]]:
    """Kind, subjects and predicate of a Statement's bytes; ValueError where they are no Statement of ours."""
    try:
        value = json.loads(payload)
        found = _PREDICATE.fullmatch(value["predicateType"])
        if value["_type"] != _STATEMENT or found is None or not isinstance(value["predicate"], dict):
            raise ValueError("not a loopwright statement of version 1")
        return found[1], tuple(map(_artifact, value["subject"])), value["predicate"]
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a statement: {error!r}") from error


def read_statement(data: bytes, index: int) -> Statement:
    """Decode a leaf without checking its signature; ValueError where it cannot be read."""
    envelope = unseal(data)
    kind, subjects, predicate = read_payload(envelope.payload)
    return Statement(index=index, kind=kind, subjects=subjects, predicate=predicate, keyid=envelope.keyid)
