"""A piece of work between its two records: what is about to be run, and what has run but is not in the ledger yet.

A killed run leaves either nothing (the work is done again, from its own resume checkpoints) or a whole `Finished`
(it is taken up where it was left). Its file is written last, in one rename.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loopwright.store.artifacts import Sealed, read_sealed
from loopwright.types import Artifact, Digest, Phase

__all__ = ["Attempt", "Finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A phase about to be run: its key names the work, the number counts the tries."""

    phase: Phase
    key: Digest
    number: int
    config: Digest
    code: Digest
    inputs: dict[str, Artifact]


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

    def write(self) -> None:
        """Put it on disk, whole or not at all."""
        record = {
            "summary": self.summary,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "seconds": self.seconds,
            "sealed": {name: asdict(sealed) for name, sealed in self.sealed.items()},
        }
        temporary = self.place / "result.json.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self.place / "result.json")

    @classmethod
    def read(cls, place: Path) -> Finished | None:
        """What `write` left there, or None."""
        try:
            record = json.loads((place / "result.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        record["sealed"] = {name: read_sealed(sealed) for name, sealed in record["sealed"].items()}
        return cls(place=place, **record)
