"""Sealed tasks: encrypted so that the evaluator alone can read them, from the moment at which they are made.

The key is the evaluator's, beside its signing key, and only a process that holds nothing else reads it:
``python -m loopwright.ledger.sealing FOLDER seal`` and ``… KEYFILE open`` read stdin and write stdout. Encryption is deterministic and
authenticated (AES-SIV, RFC 5297), so the same tasks under the same key are the same bytes and artifacts stay reproducible.

Whoever may use the account in which the keys lie may read what is sealed; another account or host than the driver's is needed
to keep it from them. A suite that a domain makes from a public seed can be made again by anybody, sealed or not.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from loopwright.errors import IntegrityError, WorkspaceError
from loopwright.ledger.keys import key_folder
from loopwright.ledger.signer import bare_environment

__all__ = ["ProcessSealer"]

_MAGIC = b"loopwright sealed v1 "
_HEAD = re.compile(rb"loopwright sealed v1 ([0-9a-f]{16})\n")


class ProcessSealer:
    """Seals for one workspace's evaluator, and opens what any evaluator with a key on this machine sealed (a fork's origin's).

    The key is made when a workspace seals for the first time; its file bears its name, the beginning of a digest.
    """

    def __init__(self, workspace: str, key_home: Path | None = None) -> None:
        self._folder = key_folder(workspace, key_home)

    def seal(self, data: bytes) -> bytes:
        """These bytes for the evaluator alone."""
        return _ask(self._folder, "seal", data)

    def open(self, sealed: bytes) -> bytes:
        """What was sealed.

        Raises:
            WorkspaceError: this machine does not hold the key that it was sealed with.
            IntegrityError: the bytes are not what was sealed.
        """
        head = _HEAD.match(sealed)
        if head is None:
            raise IntegrityError("this is no sealed suite", "`loopwright verify` says what changed")
        name = head[1].decode()
        for key in (_path(self._folder, name), *sorted(self._folder.parent.glob(f"*/{_path(Path(), name)}"))):
            if key.is_file():
                return _ask(key, "open", sealed)
        raise WorkspaceError(
            f"this machine holds no key for the sealed tasks (key {name}, looked for below {self._folder.parent})",
            "evaluate where the evaluator's keys are, or restore them from their backup",
        )


def _path(folder: Path, name: str) -> Path:
    return folder / f"evaluator-{name}.seal"


def _ask(where: Path, verb: str, data: bytes) -> bytes:
    command = [sys.executable, "-P", "-m", "loopwright.ledger.sealing", str(where), verb]
    done = subprocess.run(command, input=data, capture_output=True, cwd="/", env=bare_environment(), check=False)
    if done.returncode:
        raise IntegrityError(done.stderr.decode(errors="replace").strip()[-500:], "`loopwright verify` says what changed")
    return done.stdout


def _own(folder: Path) -> Path:
    """The key with which a workspace seals; made where there is none."""
    for key in sorted(folder.glob("evaluator-*.seal")):
        return key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret, draft = AESSIV.generate_key(512), folder / "evaluator.seal.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return draft.rename(_path(folder, hashlib.sha256(b"loopwright sealing key" + secret).hexdigest()[:16]))


def _serve(where: Path, verb: str, data: bytes) -> bytes:
    key = _own(where) if verb == "seal" else where
    if key.stat().st_mode & 0o077:
        raise WorkspaceError(f"others may read the key {key}", f"chmod 600 {key}")
    cipher, head = AESSIV(key.read_bytes()), _MAGIC + key.stem.rpartition("-")[2].encode() + b"\n"
    if verb == "seal":
        return head + cipher.encrypt(data, [head])
    try:
        return cipher.decrypt(data.removeprefix(head), [head])
    except (InvalidTag, ValueError) as error:
        raise IntegrityError("the sealed suite was changed, or sealed with another key") from error


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(_serve(Path(sys.argv[1]), sys.argv[2], sys.stdin.buffer.read()))
    except (WorkspaceError, IntegrityError) as error:
        sys.exit(error.message)
