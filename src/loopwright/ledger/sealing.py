"""Sealed tasks: encrypted so that the evaluator alone can read them, from the moment at which they are made.

The key is the evaluator's, beside its signing key, and is used by a process that holds nothing else:
``python -m loopwright.ledger.sealing KEYFILE seal|open`` reads stdin and writes stdout. Encryption is deterministic and
authenticated (AES-SIV, RFC 5297), so the same tasks under the same key are the same bytes and artifacts stay reproducible.

Whoever may use the account in which the keys lie may read what is sealed; another account or host than the driver's is needed
to keep it from them. A suite that a domain makes from a public seed can be made again by anybody, sealed or not.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from loopwright.errors import IntegrityError, WorkspaceError
from loopwright.ledger.keys import key_folder

__all__ = ["ProcessSealer"]

_KEY = "evaluator.seal"
_MAGIC = b"loopwright sealed v1"


class ProcessSealer:
    """Seals for one workspace's evaluator, and opens what any evaluator with a key on this machine sealed (a fork's origin's).

    The key is made when a workspace seals for the first time.
    """

    def __init__(self, workspace: str, key_home: Path | None = None) -> None:
        self._workspace = workspace
        self._home = key_home

    def seal(self, data: bytes) -> bytes:
        """These bytes for the evaluator alone."""
        key = key_folder(self._workspace, self._home) / _KEY
        if not key.is_file():
            _make(key)
        return _ask(key, "seal", data)

    def open(self, sealed: bytes) -> bytes:
        """What was sealed.

        Raises:
            WorkspaceError: this machine does not hold the key of the evaluator whom it was sealed for.
            IntegrityError: the bytes are not what was sealed.
        """
        magic, _, rest = sealed.partition(b"\n")
        if not magic.startswith(_MAGIC):
            raise IntegrityError("this is no sealed suite", "`loopwright verify` says what changed")
        workspace = magic[len(_MAGIC) :].strip().decode("ascii", "replace")
        return _ask(key_folder(workspace, self._home) / _KEY, "open", rest)


def _make(key: Path) -> None:
    key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = key.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(AESSIV.generate_key(512))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(key)


def _ask(key: Path, verb: str, data: bytes) -> bytes:
    if not key.is_file():
        raise WorkspaceError(
            f"this machine holds no key for the sealed tasks of workspace {key.parent.name} ({key})",
            "evaluate where the evaluator's keys are, or restore them from their backup",
        )
    command = [sys.executable, "-P", "-m", "loopwright.ledger.sealing", str(key), verb]
    names = ("PATH", "PYTHONPATH", "LANG", "LD_LIBRARY_PATH")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    done = subprocess.run(command, input=data, capture_output=True, cwd="/", env=environment, check=False)
    if done.returncode:
        raise IntegrityError(done.stderr.decode(errors="replace").strip()[-500:], "`loopwright verify` says what changed")
    return done.stdout


def _serve(path: Path, verb: str, data: bytes) -> bytes:
    if path.stat().st_mode & 0o077:
        raise WorkspaceError(f"others may read the key {path}", f"chmod 600 {path}")
    secret = path.read_bytes()
    cipher = AESSIV(secret)
    about = [_MAGIC, path.parent.name.encode(), hashlib.sha256(secret).digest()[:8]]
    if verb == "seal":
        return _MAGIC + b" " + path.parent.name.encode() + b"\n" + cipher.encrypt(data, about)
    try:
        return cipher.decrypt(data, about)
    except (InvalidTag, ValueError) as error:
        raise IntegrityError("the sealed suite was changed, or sealed with another key") from error


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(_serve(Path(sys.argv[1]), sys.argv[2], sys.stdin.buffer.read()))
    except (WorkspaceError, IntegrityError) as error:
        sys.exit(error.message)
