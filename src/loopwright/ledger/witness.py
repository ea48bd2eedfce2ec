"""A witness: somebody else who remembers how far a log had come, and signs only what continues that.

It keeps, in a folder of its own (another directory, user or host), its key and for every log the largest checkpoint that
it cosigned. It refuses a smaller one (a rewind) and another tree under the same past (a fork), and keeps what it was shown:
two checkpoints that one log key signed and that do not fit together are the proof. Rules: C2SP tlog-witness, by files.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.errors import InfraError, IntegrityError, UsageError, WorkspaceError
from loopwright.ledger.audit import audit
from loopwright.ledger.cosignature import MAX_NOTE, WitnessKey, cosign, is_cosignature, read_key, with_lines
from loopwright.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from loopwright.ledger.note import Checkpoint, origin_of, read_checkpoint, read_text, split_note, verifier_key
from loopwright.ledger.principals import Principal, enrolled, read_principal
from loopwright.ledger.proofs import Roots, consistency, inclusion, tiled
from loopwright.ledger.publication import checkpoints_held, keep_file, write_file
from loopwright.ledger.statement import Statement, read_statement
from loopwright.ledger.tiles import WIDTH, Tile, unpack
from loopwright.types import canonical, digest_bytes

__all__ = ["Cosigned", "Witness", "keep"]

_KEY, _PUBLIC = "witness.key", "witness.pub"
_PATIENCE = 20
_LOOK = "do not go on with this log before a person knows why; `loopwright verify` says what else is wrong"
_PRINCIPAL = ("id", "role", "kind", "public_key", "custody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """What a witness answers."""

    checkpoint: Checkpoint
    note: str
    """The checkpoint with the log's own signature lines, as it was shown."""
    line: str
    """The cosignature line that belongs below it."""
    first: bool
    """The witness had never seen this log: what lies before this checkpoint it cannot vouch for."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """One checkpoint with what proves it, read from a published log."""

    folder: Path
    note: str

    @property
    def claimed(self) -> int:
        return int(self.note.split("\n")[1])

    def first_entry(self) -> bytes:
        width = min(WIDTH, self.claimed)
        return unpack((self.folder / Tile(-1, 0, width).name).read_bytes())[0]

    def roots(self) -> Roots:
        return tiled(lambda name: (self.folder / name).read_bytes(), self.claimed)


class Witness:
    """The witness that lives in a folder."""

    def __init__(self, folder: Path, key: WitnessKey, private: Ed25519PrivateKey) -> None:
        """Use `create` or `open`."""
        self._folder = folder
        self.key = key
        self._private = private

    @classmethod
    def create(cls, folder: Path, name: str) -> Witness:
        """Make a witness with a key of its own; UsageError where the folder is not empty or the name cannot be one."""
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty", "choose a new folder: a witness' memory is its own")
        private = Ed25519PrivateKey.generate()
        raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        key = WitnessKey(name=name, public_key=raw)
        try:
            read_key(str(key))
        except ValueError as error:
            raise UsageError(str(error), "a witness' name is like witness.example.org/w1: no spaces, no plus") from error
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        with os.fdopen(os.open(folder / _KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        write_file(folder / _PUBLIC, f"{key}\n".encode())
        return cls(folder, key, private)

    @classmethod
    def open(cls, folder: Path) -> Witness:
        """The witness of this folder; WorkspaceError where there is none or others may read its key."""
        path = folder / _KEY
        if not path.is_file():
            raise WorkspaceError(f"{folder} is no witness' folder", f"loopwright witness init {folder} --name NAME")
        if path.stat().st_mode & 0o077:
            raise WorkspaceError(f"others may read the private key {path}", f"chmod 600 {path}")
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
            key = read_key((folder / _PUBLIC).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WorkspaceError(f"{folder} is damaged: {error}", "restore the witness' folder from its backup") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise WorkspaceError(f"{path} is not an Ed25519 key", "restore the witness' folder from its backup")
        return cls(folder, key, private)

    def cosign(self, ledger: Path, log_key: str | None = None) -> Cosigned:
        """Check the latest checkpoint published in ``ledger`` against what this witness remembers, remember it, sign it.

        ``log_key`` (a verifier key) is whom to expect the first time; without it the key that the log's own first entry
        enrols is taken and remembered.

        Raises:
            IntegrityError: a rewind, a fork, or a log that its own key did not sign; evidence is kept below ``refused/``.
            WorkspaceError: there is no checkpoint to sign.
        """
        for _ in range(_PATIENCE):
            shown = _Shown(ledger, _note(ledger))
            try:
                return self._answer(shown, log_key)
            except FileNotFoundError as error:
                if _note(ledger) == shown.note:  # nobody published meanwhile: it is really not there
                    raise IntegrityError(f"{error.filename} is missing, so the checkpoint proves nothing", _LOOK) from error
        raise InfraError(f"{ledger} changes faster than it can be read", "try again when the driver is done")

    def remembered(self) -> list[dict[str, Any]]:
        """What it knows, a log each: ``origin``, ``size``, ``root`` (base64), ``note``, ``log`` (the log's keys)."""
        return [json.loads(path.read_bytes()) for path in sorted((self._folder / "logs").glob("*.json"))]

    def _answer(self, shown: _Shown, log_key: str | None) -> Cosigned:
        text, _ = split_note(shown.note)
        with self._alone():
            place = self._folder / "logs" / f"{hashlib.sha256(text.partition(chr(10))[0].encode()).hexdigest()[:16]}.json"
            known = json.loads(place.read_bytes()) if place.is_file() else None
            logs = _logs(shown, log_key) if known is None else [read_principal(one, demo=False) for one in known["log"]]
            found, logs = self._signed(shown, logs)
            if known is None:
                self._begins(shown, found)
            else:
                self._continues(shown, found, known)
            memory = {"schema": 1, "origin": found.origin, "size": found.size, "root": _base64(found.root), "note": shown.note}
            write_file(place, canonical({**memory, "log": [_told(one) for one in logs]}))
            line = cosign(text, self.key, self._private, int(time.time()))
        return Cosigned(checkpoint=found, note=shown.note, line=line, first=known is None)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Checking and remembering are one step: two cosignings at once could go back otherwise (C2SP tlog-witness)."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _signed(self, shown: _Shown, logs: Sequence[Principal]) -> tuple[Checkpoint, Sequence[Principal]]:
        """The checkpoint, by a key that is the log's; a rotated one counts where the log, audited whole, says so."""
        try:
            return read_checkpoint(shown.note, logs), logs
        except ValueError as first:
            log = audit(shown.folder)
            rotated = [] if log.findings else [*logs, *_later(log.statements)]
            try:
                return read_checkpoint(shown.note, rotated), rotated
            except ValueError:
                raise self._refusal("log-key", f"the checkpoint is not the log's: {first}", shown, None) from first

    def _begins(self, shown: _Shown, found: Checkpoint) -> None:
        leaf = leaf_hash(shown.first_entry())
        if not verify_inclusion(leaf, 0, found.size, inclusion(shown.roots(), 0, found.size), found.root):
            raise self._refusal("fork", "the first entry is not in the tree of the checkpoint", shown, None)

    def _continues(self, shown: _Shown, found: Checkpoint, known: Mapping[str, Any]) -> None:
        old, root = known["size"], base64.b64decode(known["root"])
        if found.size < old:
            problem = f"rewind: shown {found.size} entries of {found.origin}, {old} were cosigned before"
            raise self._refusal("rewind", problem, shown, known)
        try:
            proof = [] if found.size == old else consistency(shown.roots(), old, found.size)
        except ValueError as error:
            raise self._refusal("fork", f"the published tiles are no proof: {error}", shown, known) from error
        if not verify_consistency(old, found.size, root, found.root, proof):
            problem = f"fork: the {found.size} entries shown of {found.origin} do not begin with the {old} that were cosigned"
            raise self._refusal("fork", problem, shown, known)

    def _refusal(self, code: str, problem: str, shown: _Shown, known: Mapping[str, Any] | None) -> IntegrityError:
        """Keep what was shown beside what was known, and say where."""
        evidence = {
            "schema": 1,
            "code": code,
            "problem": problem,
            "shown": shown.note,
            "kept": known["note"] if known else None,
        }
        place = self._folder / "refused" / f"{code}-{digest_bytes(shown.note.encode())[7:23]}.json"
        write_file(place, canonical(evidence))
        return IntegrityError(f"{problem}; the witness {self.key.name} does not sign", f"evidence: {place}. {_LOOK}")


def keep(ledger: Path, note: str) -> tuple[int, int]:
    """Put the cosignatures of a returned note below the published checkpoint; its size, and how many were new.

    What is not a cosignature is left out. Whether one is valid is for each reader to check, by keys of their own.
    UsageError where the note is of no checkpoint that is published here.
    """
    try:
        text, lines = split_note(note)
        size = read_text(text).size
    except ValueError as error:
        raise UsageError(
            f"not a checkpoint: {error}", "give the file that `loopwright witness cosign --out FILE` wrote"
        ) from error
    place = ledger / "checkpoints" / str(size)
    with checkpoints_held(ledger):
        there = place.read_text(encoding="utf-8") if place.is_file() else ""
        if not there or split_note(there)[0] != text:
            raise UsageError(
                f"{ledger} has published no such checkpoint of {size} entries", "compare it with `ledger/checkpoints/`"
            )
        merged = with_lines(there, [line for line in lines if is_cosignature(line)])
        if len(merged) > MAX_NOTE:
            raise UsageError(f"the checkpoint of {size} entries has as many cosignatures as fit into {MAX_NOTE} bytes")
        if merged != there:
            write_file(place, merged.encode())
        if split_note((ledger / "checkpoint").read_text(encoding="utf-8"))[0] == text:
            keep_file(ledger / "checkpoint", merged.encode())
    return size, merged.count("\n") - there.count("\n")


def _note(ledger: Path) -> str:
    try:
        with (ledger / "checkpoint").open("rb") as file:
            note = file.read(MAX_NOTE).decode()  # a longer one then ends within a line
    except FileNotFoundError as error:
        raise WorkspaceError(f"{ledger} has no checkpoint", "give a workspace or its ledger/ folder") from error
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{ledger}/checkpoint is no note: {error}", _LOOK) from error
    try:
        read_text(split_note(note)[0])
    except ValueError as error:
        raise IntegrityError(f"{ledger}/checkpoint is no checkpoint: {error}", _LOOK) from error
    return note


def _logs(shown: _Shown, log_key: str | None) -> Sequence[Principal]:
    """Whose signature to expect of a log that was never seen: whom the person names, among those that genesis enrols."""
    try:
        genesis = read_statement(shown.first_entry(), 0).predicate
        logs = [one for one in enrolled(genesis).values() if one.role == "log"]
        names = [verifier_key(origin_of(genesis["workspace"]), base64.b64decode(one.public_key)) for one in logs]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise IntegrityError(f"the first entry of {shown.folder} enrols nobody: {error!r}", _LOOK) from error
    if log_key is not None and log_key.strip() not in names:
        raise IntegrityError(f"{shown.folder} is not the log of the key that was given; its own is {names[0]}", _LOOK)
    return logs


def _later(statements: Iterable[Statement]) -> list[Principal]:
    entries = [one.predicate["principal"] for one in statements if one.kind in {"enrol", "rotate"}]
    return [read_principal(entry, demo=True) for entry in entries if entry["role"] == "log"]


def _told(principal: Principal) -> dict[str, str]:
    return {name: getattr(principal, name) for name in _PRINCIPAL}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
