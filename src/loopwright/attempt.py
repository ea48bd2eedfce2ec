"""A piece of work between its two records: what is about to be run, and what has run but is not in the ledger yet.

A killed run leaves either nothing (the work is done again, from its own resume checkpoints) or a whole `Finished`
(it is taken up where it was left). Its file is written last, in one rename.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.store.artifacts import adopt, seal
from loopwright.store.files import write_atomic
from loopwright.store.hashing import Sealed
from loopwright.types import Artifact, Digest, Phase, digest_value

__all__ = ["Attempt", "Finished", "disk_full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A phase about to be run: its key names the work, the number counts the tries."""

    phase: Phase
    key: Digest
    number: int
    config: Digest
    packages: Mapping[str, Digest]
    """Whose sources do the work, with the digest of each."""
    inputs: Mapping[str, Artifact]
    started_at: str

    @property
    def code(self) -> Digest:
        """One digest over the packages, as it stands in the key."""
        return digest_value(dict(self.packages))

    @property
    def environment(self) -> dict[str, Any]:
        """Where it is done and by which code; what else is true of the attempt alone is put beside it."""
        return {"host": socket.gethostname(), "python": platform.python_version(), "packages": dict(self.packages)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Work that is done and sealed in scratch, and not yet recorded."""

    place: Path
    """The key's scratch directory."""
    summary: Mapping[str, Any]
    started_at: str
    finished_at: str
    seconds: float
    sealed: Mapping[str, Sealed]
    """By output; where it lies is `loopwright.run`'s business."""

    def write(self) -> None:
        """Put it on disk, whole or not at all."""
        record = {
            "summary": self.summary,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "seconds": self.seconds,
            "digests": {name: sealed.manifest.digest for name, sealed in self.sealed.items()},
        }
        write_atomic(self.place / "result.json", json.dumps(record).encode())

    @classmethod
    def read(cls, place: Path, root: Path, paths: Mapping[str, str]) -> Finished | None:
        """What `write` left there, or None. ``paths`` says where in ``root`` each output goes, and may already be."""
        try:
            record = json.loads((place / "result.json").read_bytes())
        except FileNotFoundError:
            return None
        digests = record.pop("digests")
        sealed: dict[str, Sealed] = {}
        for name, path in paths.items():
            waiting = place / "output" / Path(path).name
            found = seal(waiting, name) if waiting.exists() else adopt(root / path)
            if found is None or found.manifest.digest != digests[name]:
                return None
            sealed[name] = found
        return cls(place=place, sealed=sealed, **record)


def disk_full(error: BaseException | None) -> bool:
    """Whether it comes from a full disk or quota; libraries in other languages tell it in words alone."""
    while error is not None:
        told = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
        if told or os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
