"""Signed checkpoints: C2SP signed notes (Ed25519) whose text is a C2SP tlog-checkpoint.

A checkpoint says "this log has `size` entries and this root". Signatures of keys that are not the log's (witnesses) may
stand below; they are kept and not judged here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loopwright.ledger.principals import Principal, signed_by
from loopwright.types import canonical

__all__ = [
    "Checkpoint",
    "checkpoint_text",
    "key_file",
    "origin_of",
    "read_checkpoint",
    "read_text",
    "sign_note",
    "split_note",
    "verifier_key",
]

_ED25519 = b"\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed statement about the whole log."""

    origin: str
    size: int
    """Entries."""
    root: bytes


def origin_of(workspace: str) -> str:
    """Name of a workspace's log and of its log key."""
    return f"loopwright/{workspace}"


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """The note's text (tlog-checkpoint): origin, size, base64 root, each on a line."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{base64.b64encode(checkpoint.root).decode()}\n"


def read_text(text: str) -> Checkpoint:
    """Parse a note's text; ValueError unless it is exactly what `checkpoint_text` writes."""
    try:
        origin, size, root = text.removesuffix("\n").split("\n")
        found = Checkpoint(origin=origin, size=int(size), root=base64.b64decode(root, validate=True))
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"not a checkpoint: {error}") from error
    if len(found.root) != 32 or checkpoint_text(found) != text:
        raise ValueError("not a checkpoint in its one written form")
    return found


def _key_id(name: str, public_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes) -> str:
    """The ``name+id+key`` string by which other tools that read signed notes are told whom to trust."""
    return f"{name}+{_key_id(name, public_key).hex()}+{base64.b64encode(_ED25519 + public_key).decode()}"


def key_file(genesis: Mapping[str, Any]) -> bytes:
    """``keys.json``: what the genesis entry enrols, for people and tools that do not read the log."""
    origin = origin_of(genesis["workspace"])
    log = [verifier_key(origin, base64.b64decode(one["public_key"])) for one in genesis["principals"] if one["role"] == "log"]
    return canonical({"schema": 1, "workspace": genesis["workspace"], "log": log, "principals": genesis["principals"]})


def sign_note(text: str, name: str, log: Principal, signature: bytes) -> str:
    """The note: its text, an empty line, and the signature line of the log's key under ``name``."""
    key_id = _key_id(name, base64.b64decode(log.public_key))
    return f"{text}\n\u2014 {name} {base64.b64encode(key_id + signature).decode()}\n"


def _signature_line(line: str, name: str) -> bytes:
    """The bytes of a signature by the key of that name; nothing where the line is somebody else's or malformed."""
    dash, signer, encoded = (*line.split(" "), "", "")[:3]
    if dash != "\u2014" or signer != name:
        return b""
    try:
        blob = binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError):
        return b""
    return blob if base64.b64encode(blob).decode() == encoded else b""


def split_note(note: str) -> tuple[str, list[str]]:
    """A note's text and its signature lines; ValueError where it ends within a line."""
    text, _, lines = note.rpartition("\n\n")
    if not lines.endswith("\n"):
        raise ValueError("the note ends within a line")
    return text + "\n", lines.removesuffix("\n").split("\n")


def read_checkpoint(note: str, logs: Sequence[Principal]) -> Checkpoint:
    """The checkpoint in a note; ValueError unless a key that is or was the log's signed it under the checkpoint's origin."""
    text, lines = split_note(note)
    found = read_text(text)
    blobs = [_signature_line(line, found.origin) for line in lines]
    keys = [(log, _key_id(found.origin, base64.b64decode(log.public_key))) for log in logs]
    if not any(blob[:4] == key_id and signed_by(log, blob[4:], text.encode()) for blob in blobs for log, key_id in keys):
        raise ValueError("no valid signature of the log's key")
    return found
