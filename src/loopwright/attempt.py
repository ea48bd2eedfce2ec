"""A piece of work between its two records: what is about to be run, and what has run but is not in the ledger yet.

A killed run leaves either nothing (the work is done again, from its own resume checkpoints) or a whole `Finished`
(it is taken up where it was left). Its file is written last, in one rename. An attempt that failed is an entry, too, and
where it failed by a wrong canary nothing is admitted any more until a person has answered it.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loopwright.clock import rfc3339
from loopwright.errors import CanaryError, InfraError, LoopwrightError, PhaseError
from loopwright.identity import lock_digest
from loopwright.ledger.fold import LoopState
from loopwright.store.artifacts import adopt, seal
from loopwright.store.files import write_atomic
from loopwright.store.hashing import Sealed
from loopwright.types import Artifact, Digest, Phase, canonical, digest_bytes, digest_value

__all__ = ["ALIVE", "Attempt", "Finished", "begin", "config_path", "disk_full", "frozen", "in_words", "killed", "phase_key"]

ALIVE = "alive.json"
"""In the scratch of a phase key while its work goes on; the file's time is the last sign of life."""


_NO_MEMORY = ("MemoryError", "OutOfMemory", "can't allocate memory", "out of memory")
"""How Python, Ray, torch on CPUs and torch on GPUs say it."""


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

    def failed(self, root: Path, cycle: str, error: Exception, message: str) -> dict[str, Any]:
        """The predicate of its failure. Of a wrong canary all verdicts that it makes suspect: in a file, by digest on the record."""
        said = self.said(cycle, type(error).__name__, message)
        return {**said, "suspects": self._flagged(root, cycle, error)} if isinstance(error, CanaryError) else said

    def said(self, cycle: str, error: str, message: str) -> dict[str, Any]:
        """What the statement of a failure says of this attempt, whatever ended it."""
        return {
            "cycle": cycle,
            "phase": self.phase,
            "key": self.key,
            "attempt": self.number,
            "error": error,
            "message": message[:2000],
            "started_at": self.started_at,
        }

    def _flagged(self, root: Path, cycle: str, error: CanaryError) -> dict[str, Any]:
        """A file, since an entry of the log has 64 KiB."""
        path = f"cycles/{cycle}/suspects/{self.phase}-{self.number}.json"
        named = canonical({"schema": 1, "phase": self.phase, "key": self.key, "verdicts": list(error.suspects)})
        write_atomic(root / path, named)
        return {"count": len(error.suspects), "path": path, "digest": digest_bytes(named)}

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
    energy: Mapping[str, Any] = field(default_factory=dict)
    """What the work drew, as `loopwright.energy` tells it."""
    ahead: bool = False
    """It was done while the cycle before trained (`loopwright.ahead`)."""

    def write(self) -> None:
        """Put it on disk, whole or not at all."""
        record = {
            "summary": self.summary,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "seconds": self.seconds,
            "energy": dict(self.energy),
            "ahead": self.ahead,
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


def frozen(state: LoopState) -> list[dict[str, Any]]:
    """Wrong canaries that no person has answered yet, each with the ``digest`` of its entry's content to be signed for.

    From the first of them on nothing is judged, in whatever cycle and process: what misjudged once has no say until a person
    has found out why.
    """
    failures = [failure for record in state.cycles.values() for failure in record.failures]
    wrong = {digest_value(failure): failure for failure in failures if failure["error"] == CanaryError.__name__}
    return [{**failure, "digest": digest} for digest, failure in wrong.items() if digest not in _answered(state)]


def _answered(state: LoopState) -> set[str]:
    """What persons signed for: by itself, or in a request that was carried out."""
    done = [request for request in state.acts.requests.values() if request.executed is not None]
    named = {subject.digest for request in done for subject in request.subjects}
    return set(state.approvals) | named | {str(value) for request in done for value in request.said["details"].values()}


def begin(place: Path, started_at: str) -> None:
    """Note in a key's scratch that its work has begun."""
    write_atomic(place / ALIVE, json.dumps({"started_at": started_at}).encode())


def killed(place: Path) -> tuple[str, str] | None:
    """When an attempt began that neither finished nor failed, and when it gave its last sign of life; None where there is none."""
    file = place / ALIVE
    try:
        started, seen = json.loads(file.read_bytes())["started_at"], file.stat().st_mtime
    except FileNotFoundError:
        return None
    if (place / "result.json").exists():  # it finished; what it used is in what it left
        return None
    last = rfc3339(datetime.fromtimestamp(seen, UTC))
    return started, max(started, last)


def config_path(cycle: str, phase: str) -> str:
    """Where the resolved configuration of a phase is kept, relative to the workspace."""
    return f"cycles/{cycle}/config/{phase}.json"


def phase_key(workspace: str, cycle: str, phase: str, config: Digest, inputs: Mapping[str, Artifact], code: Digest) -> Digest:
    """Identity of a piece of work: same key, same bytes. The cycle's seed and configuration are in ``config``."""
    content = {name: artifact.digest for name, artifact in inputs.items()}
    return digest_value(
        {
            "workspace": workspace,
            "cycle": cycle,
            "phase": phase,
            "config": config,
            "inputs": content,
            "code": code,
            "lock": lock_digest(),
        }
    )


def disk_full(error: BaseException | None) -> bool:
    """Whether it comes from a full disk or quota; libraries in other languages tell it in words alone."""
    while error is not None:
        told = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
        if told or any(word in str(error) for word in (os.strerror(errno.ENOSPC), "OutOfDisk")):  # as Linux and as Ray say it
            return True
        error = error.__cause__ or error.__context__
    return False


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, of a CPU or a GPU; what comes from a worker has only words left."""
    told = isinstance(error, InfraError) and any(word in str(error) for word in _NO_MEMORY)
    return told or isinstance(error, MemoryError)


def in_words(phase: str, error: Exception) -> LoopwrightError:
    """Whatever went wrong in a phase, as an error that says what and what next."""
    if disk_full(error):
        return InfraError(f"disk full in the {phase} phase: {error}", "free some space, then `loopwright run` goes on")
    if out_of_memory(error):
        step = "give it more memory, smaller shards or a smaller batch, then `loopwright run` goes on from what is done"
        return InfraError(
            f"out of memory in the {phase} phase: {error.message if isinstance(error, LoopwrightError) else error}", step
        )
    if isinstance(error, LoopwrightError):
        return error
    next_step = "`loopwright logs` has the traceback; `loopwright run` tries again"
    return PhaseError(f"the {phase} phase failed: {type(error).__name__}: {error}", next_step)
