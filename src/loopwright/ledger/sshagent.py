"""A client of ssh-agent: which keys it holds, and a signature by one of them.

The protocol is draft-ietf-sshm-ssh-agent; keys are ``ssh-ed25519`` (RFC 8709) and FIDO2 tokens' ``sk-ssh-ed25519@openssh.com``
(OpenSSH, PROTOCOL.u2f). The private key never comes here. Only Ed25519 is spoken, since only that is enrolled.
"""

from __future__ import annotations

import base64
import binascii
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import RefusedError, UsageError
from loopwright.ledger.principals import SK_SSH

__all__ = ["AgentKey", "agent_keys", "public_line", "read_public"]

_REQUEST_IDENTITIES, _IDENTITIES, _SIGN_REQUEST, _SIGN_RESPONSE = 11, 12, 13, 14
_PLAIN = "ssh-ed25519"
_LONGEST = 2**18
_SECONDS = 60.0
"""A token waits for a touch, or ssh-add -c for an answer."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """SSH's wire format: each string after its length, an unsigned 32-bit big-endian number (RFC 4251 §5)."""

    data: bytearray

    def take(self, count: int) -> bytes:
        if count > len(self.data):
            raise ValueError("it ends too early")
        found = bytes(self.data[:count])
        del self.data[:count]
        return found

    def number(self) -> int:
        return struct.unpack(">I", self.take(4))[0]

    def string(self) -> bytes:
        return self.take(self.number())


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKey:
    """A public key that an agent may hold; a `loopwright.ledger.signer.Hand`."""

    public_key: bytes
    scheme: str
    application: str | None
    blob: bytes
    """The key as SSH writes it, by which the agent knows it."""

    @property
    def custody(self) -> str:
        """``ssh-agent``, or ``sk-ssh`` for a token."""
        return "sk-ssh" if self.scheme == SK_SSH else "ssh-agent"

    def sign(self, message: bytes) -> bytes:
        """The raw signature; a token's is followed by its flags and its counter. RefusedError where the agent says no."""
        answer = _Reader(bytearray(_asked(_SIGN_REQUEST, _string(self.blob) + _string(message) + struct.pack(">I", 0))))
        try:
            if answer.take(1)[0] != _SIGN_RESPONSE:
                raise RefusedError(
                    "ssh-agent does not sign with this key", "`ssh-add -l` shows what it holds; `ssh-add FILE` adds it"
                )
            found = _Reader(bytearray(answer.string()))
            kind, signature = found.string().decode(), found.string()
            rest = bytes(found.data)
            if kind != (_PLAIN if self.scheme == "ed25519" else SK_SSH) or len(signature) != 64:
                raise ValueError(f"a signature of type {kind!r}")
            if len(rest) != (5 if self.scheme == SK_SSH else 0):
                raise ValueError("a signature of another length")
        except (ValueError, UnicodeDecodeError) as error:
            raise RefusedError(f"ssh-agent answered with something else than a signature: {error}") from error
        return signature + rest


def _asked(kind: int, body: bytes) -> bytes:
    """One question, one answer, without its length."""
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        raise UsageError("no ssh-agent is reachable: SSH_AUTH_SOCK is not set", "`eval $(ssh-agent)` and `ssh-add FILE`")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(path)
            connection.sendall(_string(bytes([kind]) + body))
            (length,) = struct.unpack(">I", _exactly(connection, 4))
            if not 0 < length <= _LONGEST:
                raise ValueError(f"an answer of {length} bytes")
            return _exactly(connection, length)
    except (OSError, ValueError) as error:
        raise RefusedError(f"ssh-agent at {path} does not answer: {error}", "`ssh-add -l` tries it") from error


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ValueError("the connection ended")
        data += part
    return data


def _key(blob: bytes) -> AgentKey | None:
    """The key in a blob; None where it is of another kind. ValueError where it is cut off."""
    reader = _Reader(bytearray(blob))
    kind = reader.string().decode("ascii", "replace")
    if kind not in {_PLAIN, SK_SSH}:
        return None
    public = reader.string()
    application = reader.string().decode() if kind == SK_SSH else None
    if len(public) != 32 or reader.data:
        raise ValueError("not an Ed25519 key")
    return AgentKey(public_key=public, scheme="ed25519" if kind == _PLAIN else SK_SSH, application=application, blob=blob)


def agent_keys() -> list[AgentKey]:
    """The Ed25519 keys that the agent holds now; none where there is no agent."""
    if not os.environ.get("SSH_AUTH_SOCK"):
        return []
    answer = _Reader(bytearray(_asked(_REQUEST_IDENTITIES, b"")))
    try:
        if answer.take(1)[0] != _IDENTITIES:
            raise ValueError("another answer")
        pairs = [(answer.string(), answer.string()) for _ in range(answer.number())]
        return [found for blob, _ in pairs if (found := _key(blob)) is not None]
    except (ValueError, UnicodeDecodeError) as error:
        raise RefusedError(f"ssh-agent's list of keys cannot be read: {error}", "`ssh-add -l`") from error


def public_line(public_key: bytes) -> str:
    """An Ed25519 public key as a ``.pub`` file has it, without a comment."""
    return f"{_PLAIN} {base64.b64encode(_string(_PLAIN.encode()) + _string(public_key)).decode()}"


def read_public(path: Path) -> AgentKey:
    """The key in an OpenSSH ``.pub`` file; UsageError where it is none, or not Ed25519."""
    try:
        kind, encoded = path.read_text(encoding="utf-8").split()[:2]
        found = _key(base64.b64decode(encoded, validate=True))
    except (OSError, ValueError, binascii.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no OpenSSH public key: {error}", "give the .pub file") from error
    if found is None:
        raise UsageError(
            f"{path} is a key of type {kind}", f"only {_PLAIN} and {SK_SSH}: `ssh-keygen -t ed25519`, or `-t ed25519-sk`"
        )
    return found
