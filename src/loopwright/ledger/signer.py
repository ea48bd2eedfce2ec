"""Signing: each role in a process of its own that holds its key and nothing else.

``python -m loopwright.ledger.signer KEYFILE`` reads batches on stdin (after its length, an unsigned 32-bit big-endian number,
payload after payload, each after its own) and answers each with a byte (0 signed, 1 refused), a length, and the signatures, 64
bytes each, or the reason. It signs what its role may say and nothing else, whoever asks: a statement by its DSSE encoding, the
log's key a checkpoint's text; of a batch that holds anything else, nothing.
"""

from __future__ import annotations

import io
import os
import resource
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol, cast

from loopwright.errors import InfraError, LoopwrightError, RefusedError, WorkspaceError
from loopwright.ledger.keys import key_path, load_key
from loopwright.ledger.note import origin_of, read_text
from loopwright.ledger.principals import may_sign, right
from loopwright.ledger.statement import pae, read_payload

__all__ = ["Hand", "LocalSigner", "ProcessSigner", "Signer", "bare_environment", "signable"]

_LENGTH = struct.Struct(">I")
_SIGNATURE = 64
_ORPHAN_SECONDS = 5.0


class Signer(Protocol):
    """Makes signatures for the roles of one workspace."""

    @property
    def custody(self) -> str:
        """Where keys are and who uses them, in words; recorded in the genesis entry."""
        ...

    def sign(self, role: str, payload: bytes) -> bytes:
        """Ed25519 signature over what `signable` says; RefusedError where the role may not say this."""
        ...

    def sign_many(self, role: str, payloads: Sequence[bytes]) -> list[bytes]:
        """`sign` each of these, or none of them; a process is asked once."""
        ...

    def close(self) -> None:
        """End what was started for it."""
        ...


class Hand(Protocol):
    """What one person or agent signs with; where the private key is, is its own business (`loopwright.ledger.hands`)."""

    @property
    def public_key(self) -> bytes:
        """32 raw bytes (Ed25519)."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature as `principals.signed_by` checks it; may ask for a touch. LoopwrightError where there is none."""
        ...


def signable(role: str, workspace: str, payload: bytes) -> bytes:
    """The bytes that the role's key signs for this payload; RefusedError unless it may sign them.

    Rights of statements come from kind and phase (`principals.RIGHTS`); the log signs checkpoints of its own log alone.
    """
    try:
        if may_sign(role, "checkpoint"):
            mine = read_text(payload.decode()).origin == origin_of(workspace)
            needed, message = "checkpoint" if mine else "another log's checkpoint", payload
        else:
            kind, _, predicate = read_payload(payload)
            needed, message = right(kind, predicate), pae(payload)
    except ValueError as error:
        raise RefusedError(f"the {role} key of {workspace} does not sign this: {error}") from error
    if not may_sign(role, needed):
        problem = f"the {role} key of {workspace} may not sign {needed}"
        raise RefusedError(problem, "a statement is signed by the role that did the work (docs/ledger-format.md, roles)")
    return message


class LocalSigner:
    """Signs in this process: for tests, and for nothing that judges itself."""

    custody = "file of mode 0600, used by the process that asks"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sign(self, role: str, payload: bytes) -> bytes:
        """See `Signer.sign`."""
        return self.sign_many(role, [payload])[0]

    def sign_many(self, role: str, payloads: Sequence[bytes]) -> list[bytes]:
        """See `Signer.sign_many`."""
        key = load_key(key_path(self._folder, role))
        return [key.sign(signable(role, self._folder.name, payload)) for payload in payloads]

    def close(self) -> None:
        """Nothing to end."""


class ProcessSigner:
    """Signs in one child process a role, started when the role first signs."""

    custody = "file of mode 0600, used by a process that holds this key alone"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def _child(self, role: str) -> subprocess.Popen[bytes]:
        if role not in self._children:
            load_key(key_path(self._folder, role))  # its errors are told here, not by a dead child
            command = [sys.executable, "-P", "-m", "loopwright.ledger.signer", str(key_path(self._folder, role))]
            # a session of its own: Ctrl-C in the terminal ends the driver, which may still have a failure to record
            self._children[role] = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd="/",
                env=bare_environment(),
                start_new_session=True,
            )
        return self._children[role]

    def sign(self, role: str, payload: bytes) -> bytes:
        """See `Signer.sign`; InfraError where the role's process has ended."""
        return self.sign_many(role, [payload])[0]

    def sign_many(self, role: str, payloads: Sequence[bytes]) -> list[bytes]:
        """See `Signer.sign_many`; InfraError where the role's process has ended."""
        with self._lock:
            child, whole = self._child(role), False
            requests, answers = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
            try:
                requests.write(_framed(b"".join(map(_framed, payloads))))
                requests.flush()
                refused, answer = _exactly(answers, 1), _frame(answers)
                whole = True
            except (OSError, EOFError) as error:
                raise InfraError(f"the signing process of the {role} ended", "run again; nothing was recorded") from error
            finally:
                if not whole:  # interrupted in between, a late answer would be taken for the next payload's
                    self._end(self._children.pop(role))
        if refused == b"\x01":
            message, _, next_step = answer.decode().partition("\n")
            raise RefusedError(message, next_step)
        return [answer[at : at + _SIGNATURE] for at in range(0, len(answer), _SIGNATURE)]

    @staticmethod
    def _end(child: subprocess.Popen[bytes]) -> None:
        child.kill()
        child.communicate()

    def close(self) -> None:
        """Let every child end and wait for it."""
        with self._lock:
            for child in self._children.values():
                child.communicate()
            self._children.clear()


def bare_environment() -> dict[str, str]:
    """What Python needs to start, and no secret that happens to be in the driver's environment."""
    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}


def _exactly(stream: IO[bytes], count: int) -> bytes:
    data = b""
    while len(data) < count:  # an unbuffered stream may give less than was asked for
        part = stream.read(count - len(data))
        if not part:
            raise EOFError("the stream ended")
        data += part
    return data


def _framed(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _frame(stream: IO[bytes]) -> bytes:
    return _exactly(stream, _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0])


def _frames(data: bytes) -> Iterator[bytes]:
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        yield _frame(stream)


def _asked(stream: IO[bytes], parent: int) -> bool:
    """Wait for a payload; False once nobody can ask any more (the pipe may live on in some other child)."""
    while not select.select([stream], [], [], _ORPHAN_SECONDS)[0]:
        if os.getppid() != parent:
            return False
    return True


def _serve(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    role, workspace, key, parent = path.stem, path.parent.name, load_key(path), os.getppid()
    requests, answers = os.fdopen(0, "rb", buffering=0), sys.stdout.buffer
    while _asked(requests, parent):
        try:
            messages = [signable(role, workspace, payload) for payload in _frames(_frame(requests))]
            answer, data = b"\x00", b"".join(map(key.sign, messages))
        except EOFError:
            return
        except LoopwrightError as error:
            answer, data = b"\x01", f"{error.message}\n{error.next_step}".encode()
        answers.write(answer + _framed(data))
        answers.flush()


if __name__ == "__main__":
    try:
        _serve(Path(sys.argv[1]))
    except WorkspaceError as error:
        sys.exit(error.message)
