"""Checking many signatures: here where they are few, in a process a core where they are many (Ed25519 keeps Python's lock).

``python -m loopwright.ledger.signatures`` reads batches on stdin (a count; for each signature the principal as JSON, the signature
and the message, each after its length; all numbers unsigned, 32 bits, big-endian) and answers each with a byte a signature (1 valid).
It holds no key and opens no file.
"""

from __future__ import annotations

import functools
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO, Any, cast

from loopwright.errors import InfraError
from loopwright.ledger.principals import Principal, signed_by

__all__ = ["Signatures"]

_MANY = 4000
"""Signatures from which on starting processes pays."""
_BATCH = 1000
_PROCESSES = 4
_NUMBER = struct.Struct(">I")


@functools.cache
def _told(principal: Principal) -> bytes:
    return _framed(json.dumps(asdict(principal)).encode())


def _framed(data: bytes) -> bytes:
    return _NUMBER.pack(len(data)) + data


class Signatures:
    """The signatures of one log."""

    def __init__(self, expected: int) -> None:
        """``expected``: about how many there are."""
        count = min(_PROCESSES, len(os.sched_getaffinity(0))) if expected >= _MANY else 0
        self._idle = [_start() for _ in range(count)]
        self._asked: dict[int, tuple[subprocess.Popen[bytes], list[int]]] = {}
        self._waiting: list[bytes] = []
        self._indices: list[int] = []
        self._invalid: list[int] = []

    def check(self, index: int, principal: Principal, signature: bytes, message: bytes) -> bool:
        """False where the signature of entry ``index`` is known not to be the principal's; `late` tells of the others."""
        if not self._idle and not self._asked:
            return signed_by(principal, signature, message)
        self._waiting.append(_told(principal) + _framed(signature) + _framed(message))
        self._indices.append(index)
        if len(self._waiting) == _BATCH:
            self._send()
        return True

    def _send(self) -> None:
        child = self._idle.pop() if self._idle else self._answer(next(iter(self._asked)))
        requests = cast("IO[bytes]", child.stdin)
        try:
            requests.write(_NUMBER.pack(len(self._waiting)) + b"".join(self._waiting))
            requests.flush()
        except OSError as error:
            raise _ended() from error
        self._asked[child.pid] = child, self._indices
        self._waiting, self._indices = [], []

    def _answer(self, pid: int) -> subprocess.Popen[bytes]:
        child, indices = self._asked.pop(pid)
        answer = cast("IO[bytes]", child.stdout).read(len(indices))
        if len(answer) != len(indices):
            raise _ended()
        self._invalid += [index for index, valid in zip(indices, answer, strict=True) if valid != 1]
        return child

    def late(self) -> list[int]:
        """The entries whose signatures turned out not to be their signers' since `check`; the processes end."""
        if self._waiting:
            self._send()
        self._idle += [self._answer(pid) for pid in list(self._asked)]
        self.close()
        return sorted(self._invalid)

    def close(self) -> None:
        """End the processes, whatever they do."""
        for child in [*self._idle, *(child for child, _ in self._asked.values())]:
            child.kill()
            child.communicate()
        self._idle, self._asked = [], {}


def _ended() -> InfraError:
    return InfraError("a process that checks signatures ended", "try again; the record was not changed")


def _start() -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    command = [sys.executable, "-P", "-m", "loopwright.ledger.signatures"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", env=kept)


@functools.cache
def _principal(told: bytes) -> Principal:
    value: dict[str, Any] = json.loads(told)
    value["duties"] = tuple(value["duties"])
    return Principal(**value)


def _frames(stream: IO[bytes]) -> Iterator[bytes]:
    while head := stream.read(_NUMBER.size):
        yield stream.read(_NUMBER.unpack(head)[0])


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    frames = _frames(requests)
    while head := requests.read(_NUMBER.size):
        batch = [(next(frames), next(frames), next(frames)) for _ in range(_NUMBER.unpack(head)[0])]
        answers.write(bytes(signed_by(_principal(who), signature, message) for who, signature, message in batch))
        answers.flush()


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
