"""Cosignatures: what a witness writes below a checkpoint (C2SP tlog-cosignature, Ed25519, ``cosignature/v1``).

A cosignature says: at this time, this was the largest tree of this log that I had seen, and it continues every one that I
had seen before. Whose word counts is the reader's to say, by public keys that do not come from the log.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from loopwright.ledger.note import split_note

__all__ = [
    "MAX_NOTE",
    "Cosignature",
    "WitnessKey",
    "cosign",
    "cosignatures",
    "is_cosignature",
    "is_line",
    "read_key",
    "with_lines",
]

MAX_NOTE = 16_384
"""Bytes of a note: far more than sixteen cosignatures, and little to read of a hostile one."""

_TYPE = b"\x04"
_TIME = struct.Struct(">Q")
_BLOB = 4 + _TIME.size + 64
_NAME = re.compile(r"[!-*,-~]{1,255}")
"""A key's name: visible ASCII without plus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    """A witness' public key, under the name that it signs with."""

    name: str
    public_key: bytes
    """32 raw bytes."""

    @property
    def id(self) -> bytes:
        """What stands before its signatures; short, so a signature counts only where it verifies."""
        return hashlib.sha256(self.name.encode() + b"\n" + _TYPE + self.public_key).digest()[:4]

    def __str__(self) -> str:
        """The verifier key (C2SP signed-note): ``name+id+key``."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_TYPE + self.public_key).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """A valid one."""

    key: WitnessKey
    time: int
    """POSIX seconds, by the witness' clock."""


def read_key(text: str) -> WitnessKey:
    """Parse a verifier key; ValueError unless it is a witness' and its id is right."""
    try:
        name, _, encoded = text.strip().split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError(f"no verifier key (name+id+key): {text.strip()[:80]!r}") from error
    if raw[:1] != _TYPE or len(raw) != 33 or _NAME.fullmatch(name) is None:
        raise ValueError(f"{name[:80]!r} is no witness' Ed25519 key (signature type 4)")
    key = WitnessKey(name=name, public_key=raw[1:])
    if str(key) != text.strip():
        raise ValueError(f"the id of the key of {name} is not that of its bytes")
    return key


def _message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosign(text: str, key: WitnessKey, private: Ed25519PrivateKey, time: int) -> str:
    """The signature line over a checkpoint's text, without its newline."""
    blob = key.id + _TIME.pack(time) + private.sign(_message(text, time))
    return f"\u2014 {key.name} {base64.b64encode(blob).decode()}"


def _parts(line: str) -> tuple[str, bytes]:
    """Name and bytes of a signature line; nothing where it is malformed."""
    dash, name, encoded = (*line.split(" "), "", "")[:3]
    try:
        blob = binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError):
        return "", b""
    sound = dash == "\u2014" and line == f"\u2014 {name} {base64.b64encode(blob).decode()}"
    return (name, blob) if sound else ("", b"")


def is_line(line: str) -> bool:
    """Has this the shape of a signature line, whosever it is?"""
    return _parts(line)[0] != ""


def is_cosignature(line: str) -> bool:
    """Has this line the shape of one? Whose it is, and whether it is valid, needs a key."""
    name, blob = _parts(line)
    return len(blob) == _BLOB and _NAME.fullmatch(name) is not None


def cosignatures(note: str, keys: Iterable[WitnessKey]) -> tuple[list[Cosignature], list[WitnessKey]]:
    """What these witnesses say in a note: their valid cosignatures, and whose line is not valid. Others are passed over."""
    text, lines = split_note(note)
    blobs = [_parts(line) for line in lines]
    valid, broken = [], []
    for key in keys:
        mine = [blob for name, blob in blobs if name == key.name and blob[:4] == key.id]
        times = [time for blob in mine if (time := _valid(text, key, blob)) is not None]
        if times:
            valid.append(Cosignature(key=key, time=min(times)))
        if len(times) < len(mine):
            broken.append(key)
    return valid, broken


def _valid(text: str, key: WitnessKey, blob: bytes) -> int | None:
    if len(blob) != _BLOB:
        return None
    (time,) = _TIME.unpack(blob[4:12])
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(blob[12:], _message(text, time))
    except (InvalidSignature, ValueError):
        return None
    return time if time < 2**63 else None


def with_lines(note: str, lines: Sequence[str]) -> str:
    """The note with these signature lines below those that it has; one that it has already is not added again."""
    _, there = split_note(note)
    have = {_parts(line)[0] + _parts(line)[1][:4].hex() for line in there}
    new = [line for line in lines if _parts(line)[0] + _parts(line)[1][:4].hex() not in have]
    return note + "".join(f"{line}\n" for line in new)
