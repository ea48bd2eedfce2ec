"""The words of the project as frozen values: no behaviour, no input or output, no heavy import.

Everything that crosses a boundary (between phases, processes, or time) is one of these. A digest is always
``sha256:<hex>`` of exact bytes; structured values are digested over their RFC 8785 canonical JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import rfc8785

__all__ = [
    "PHASES",
    "Action",
    "Artifact",
    "Check",
    "Decision",
    "Digest",
    "FileEntry",
    "Level",
    "Manifest",
    "Phase",
    "Progress",
    "ProposalKind",
    "Row",
    "Score",
    "Status",
    "Task",
    "Verdict",
    "canonical",
    "cycle_name",
    "cycle_number",
    "digest_bytes",
    "digest_value",
    "seed_of",
]

Digest = str
"""``sha256:`` and 64 hex digits: the identity of exact bytes. Never DVC's md5."""

Phase = Literal["seed", "generate", "verify", "merge", "train", "evaluate", "examine", "decide"]
PHASES: tuple[Phase, ...] = ("seed", "generate", "verify", "merge", "train", "evaluate", "examine", "decide")

ProposalKind = Literal["rows", "recipe"]
"""What a model (or, today, a person) may offer: rows of answers, or a diff on allow-listed training files."""

Action = Literal["promote", "hold", "reject", "halt"]
"""What a gate may answer. ``hold`` waits for a person, ``halt`` stops the loop."""

Status = Literal["PASS", "FAIL", "LOAD_ERROR", "TIMEOUT", "OUTPUT_LIMIT", "MEMORY", "SIGNAL", "BAD_OUTPUT", "INFRA"]
"""How judging one answer ended. ``INFRA`` is no verdict: it is retried, never scored."""

Level = Literal["data", "SL0", "SL1", "SL2", "SL3", "SL4"]
"""Isolation really applied to a candidate: ``data`` = nothing was executed, ``SL0`` none, ``SL1`` own process with
rlimits, ``SL2`` + seccomp and Landlock, ``SL3`` + namespaces, ``SL4`` + gVisor or a micro-VM."""

Progress = Callable[[int, int, str], None]
"""``progress(done, total, unit)``: called by a phase as work is done; drawing is the caller's business."""


def canonical(value: Any) -> bytes:
    """RFC 8785 canonical JSON of a plain value; ValueError on NaN, infinities and anything that is not JSON."""
    if _alike(value):  # Python's own encoder is several times faster
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return rfc8785.dumps(value)


def _alike(value: Any) -> bool:
    """False for other scripts (their keys are ordered otherwise), whole floats, and where one of the two writes an exponent."""
    if isinstance(value, str):
        return value.isascii()
    if isinstance(value, dict):
        return all(isinstance(key, str) and key.isascii() for key in value) and all(map(_alike, value.values()))
    if isinstance(value, list | tuple):
        if set(map(type, value)) == {int}:  # most of what is digested
            return max(map(abs, value)) < 2**53
        return all(map(_alike, value))
    if isinstance(value, float):
        return 1e-4 <= abs(value) < 1e15 and not value.is_integer()
    return value is None or (isinstance(value, int) and abs(value) < 2**53)


def digest_bytes(data: bytes) -> Digest:
    """The digest of exactly these bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_value(value: Any) -> Digest:
    """The digest of a plain JSON value, over its canonical form."""
    return digest_bytes(canonical(value))


def seed_of(*parts: str | int) -> int:
    """A 53-bit seed (JSON's safe integers) that depends on every part and on nothing else: not on host, time or workers."""
    return int.from_bytes(hashlib.sha256(canonical([str(part) for part in parts])).digest()[:8], "big") >> 11


def cycle_name(number: int) -> str:
    """``7`` -> ``c0007``; five digits and more simply grow."""
    return f"c{number:04d}"


def cycle_number(name: str) -> int:
    """``c0007`` -> ``7``."""
    return int(name[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of an artifact."""

    path: str
    """Relative to the artifact's directory, with forward slashes."""
    size: int
    """Bytes."""
    sha256: str
    """Hex digest of the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an artifact consists of: content only. Time, host and attempt belong to the statement about it."""

    kind: str
    """``proposals``, ``accepted``, ``archive``, ``model``, ``evaluation``, ``card``, ``decision``, ``suites`` or ``heldout``."""
    files: tuple[FileEntry, ...]
    """Sorted by path."""

    @property
    def digest(self) -> Digest:
        """The artifact's identity: over kind and files, in canonical JSON."""
        return digest_value({"files": [asdict(file) for file in self.files], "kind": self.kind})

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A recorded thing: its identity and where this workspace keeps it."""

    kind: str
    digest: Digest
    path: str
    """Relative to the workspace. Where it is, not what it is: identity is the digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A measured number and how sure it is (every number that is shown says how it was obtained)."""

    value: float
    low: float
    high: float
    n: int
    method: str
    """For example ``wilson 95%``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Input-output pairs that an answer must satisfy, as data: what came out is compared outside the candidate."""

    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to solve. Text crosses the seam; how an answer is checked is data."""

    id: str
    """Content digest of domain, prompt and checks, 16 hex digits."""
    prompt: str
    level: int
    """Difficulty; the curriculum and the slices go by it."""
    signature: str
    """Digest of the task's behaviour on inputs that belong to no split: two tasks with one signature are the same task."""
    checks: Mapping[str, Check]
    """By purpose: ``visible`` and ``hidden`` for accepting rows, or ``gate``, or ``sealed``."""
    slices: Mapping[str, str]
    """Columns by which scores are also reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A prompt with an answer, ready to be trained on, and where it came from."""

    id: str
    task: str
    prompt: str
    answer: str
    level: int
    origin: str
    """``human`` or the digest of the generator model."""
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement of one answer, computed outside the process that ran it."""

    status: Status
    level: Level
    """Isolation that was really applied."""
    reason: str = ""
    """For a person: the first check that failed, or the error's name. Never parsed, never trusted."""
    seconds: float = field(default=0.0, compare=False)
    """By the clock; for a person, and no part of the judgement: equal jobs have equal verdicts."""

    @property
    def passed(self) -> bool:
        """True for PASS alone."""
        return self.status == "PASS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the gate answered, on which evidence, under which policy."""

    action: Action
    reasons: tuple[str, ...]
    evidence: tuple[Digest, ...]
    policy: Digest
