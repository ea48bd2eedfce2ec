"""The published log, checked from its files alone: tree, checkpoints, signatures, rights and the order of events.

It trusts nothing but the keys in the genesis entry, reads no database, and reports everything it finds instead of
stopping at the first. A log that was cut and whose later checkpoints were removed too can only be told from a checkpoint
that somebody else kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loopwright.ledger.merkle import CompactRange, leaf_hash
from loopwright.ledger.note import Checkpoint, key_file, origin_of, read_checkpoint
from loopwright.ledger.order import disorder
from loopwright.ledger.principals import may_sign, right, signed_by
from loopwright.ledger.roster import Roster
from loopwright.ledger.schema import problems
from loopwright.ledger.statement import Statement, pae, read_payload, seal, unseal
from loopwright.ledger.tiles import entries_in, levels_of, pack, read_files, tile_at, tiles_of
from loopwright.types import canonical

__all__ = ["Finding", "LogAudit", "audit"]


_PECULIAR = re.compile(rb'[^\x00-\x7f]|(?:":|[,\[])-?(?:\d[\d.]*[eE]|\d{16})|\.0[,\]}]')
"""Where Python's encoder and RFC 8785 may differ: other scripts, exponents, integers beyond 2^53, whole floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as the record says."""

    code: str
    """Stable name of the kind of problem (listed in `docs/ledger-format.md`)."""
    where: str
    """A path relative to the workspace, or an entry of the log."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAudit:
    """What an audit of the published log saw."""

    findings: tuple[Finding, ...]
    entries: Sequence[bytes]
    statements: tuple[Statement, ...]
    """Those that could be read; all of them where there are no findings."""
    notes: Mapping[int, str]
    """Kept checkpoints by size."""
    covered: int
    """Entries below the latest checkpoint that holds; what comes after is signed by its role only."""


def _found(code: str, where: str, message: str) -> Finding:
    return Finding(code=code, where=where, message=message)


def _at(index: int) -> str:
    return f"ledger entry {index}"


def _canonical(data: bytes) -> bool:
    """Is this RFC 8785 JSON? Where no character and no number is written differently there, by the faster encoder."""
    value = json.loads(data)
    if _PECULIAR.search(data):
        return canonical(value) == data
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() == data


def _parse(entry: bytes, index: int) -> tuple[Statement, bytes, bytes]:
    """Statement, payload and signature of an entry; ValueError where it is not well formed."""
    envelope = unseal(entry)
    kind, subjects, predicate = read_payload(envelope.payload)
    if missing := problems(kind, predicate):
        raise ValueError(f"the {kind} statement lacks, or has impossible values in: {', '.join(missing)}")
    if not _canonical(envelope.payload) or seal(envelope.payload, envelope.keyid, envelope.signature) != entry:
        raise ValueError("not written as RFC 8785 canonical JSON")
    statement = Statement(index=index, kind=kind, subjects=subjects, predicate=predicate, keyid=envelope.keyid)
    return statement, envelope.payload, envelope.signature


def _signature(statement: Statement, payload: bytes, signature: bytes, roster: Roster) -> Iterator[Finding]:
    at, holding = _at(statement.index), roster.holdings.get(statement.keyid)
    if holding is None:
        yield _found("signer-unknown", at, f"signed by {statement.keyid}, whom nobody enrolled before this entry")
        return
    if holding.revoked is not None:
        yield _found("signer-revoked", at, f"signed by {statement.keyid}, which entry {holding.revoked} revoked")
    holder = holding.principal
    if not signed_by(holder, signature, pae(payload)):
        yield _found("signature-invalid", at, f"not what the {holder.role} signed")
    needed = right(statement.kind, statement.predicate)
    if not may_sign(holder.role, needed):
        yield _found("role-refused", at, f"the {holder.role} may not sign {needed}")


class _Audit:
    """One audit of one log's files, in the order in which the checks build on each other."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.findings: list[Finding] = []
        self.entries: list[bytes] = []
        self.statements: list[Statement] = []
        self.roster = Roster(demo=False)
        self.notes: dict[int, str] = {}
        self.covered = 0
        self.served = 0

    def add(self, code: str, where: str, message: str) -> None:
        self.findings.append(_found(code, where, message))

    def read(self) -> None:
        """Entry bundles; without them there is nothing else to check."""
        try:
            self.entries = entries_in(self.files)
        except ValueError as error:
            name, _, problem = str(error).partition(": ")
            self.add("bundle-damaged", f"ledger/{name}", problem)
        else:
            if not self.entries:
                self.add("entries-missing", "ledger/tile/entries", "no entries are published")

    def enrol(self) -> None:
        """The keys that everything else is checked by, from the first entry, and their copy in ``keys.json``."""
        try:
            genesis, _, _ = _parse(self.entries[0], 0)
            self.roster = Roster.of(genesis.predicate)
        except (ValueError, KeyError) as error:
            self.add("genesis-invalid", _at(0), f"enrols nobody: {error}")
            return
        if self.files.get("keys.json") != key_file(genesis.predicate):
            self.add("keys-differ", "ledger/keys.json", "missing, or not the keys that the genesis entry enrols")

    def signatures(self) -> None:
        """Every entry: readable, well formed, signed by a key that was enrolled then and may say this; then their order."""
        for index, entry in enumerate(self.entries):
            try:
                statement, payload, signature = _parse(entry, index)
            except ValueError as error:
                self.add("entry-unreadable", _at(index), str(error))
                continue
            self.statements.append(statement)
            self.findings.extend(_signature(statement, payload, signature, self.roster))
            try:
                self.roster = self.roster.after(statement)
            except ValueError as error:
                self.add("enrolment-refused", _at(index), str(error))
        for index, code, message in disorder(self.statements):
            self.add(code, _at(index), message)

    def tree(self) -> None:
        """Every published tile and bundle equals what the entries give; none is missing that the checkpoint needs.

        Entries beyond the checkpoint may be on their way: a driver publishes them first and their tiles after.
        """
        levels = [self.entries, *levels_of([leaf_hash(entry) for entry in self.entries])]
        for tile in tiles_of(self.served if self.served <= len(self.entries) else 0):
            if tile.name not in self.files:
                self.add("tile-missing", f"ledger/{tile.name}", "not published")
        for name, data in self.files.items():
            if name.startswith("tile/"):
                self._tile(name, data, levels)

    def _tile(self, name: str, data: bytes, levels: Sequence[Sequence[bytes]]) -> None:
        try:
            tile = tile_at(name)
        except ValueError:
            self.add("tile-unknown", f"ledger/{name}", "no tile has this name")
            return
        items = levels[tile.level + 1][tile.start : tile.stop] if tile.level + 1 < len(levels) else ()
        if len(items) < tile.width:
            self.add("tile-beyond", f"ledger/{name}", f"a tile of a longer log than the {len(self.entries)} published entries")
        elif data != (pack(items) if tile.level < 0 else b"".join(items)):
            differing = [tile.start + at for at, item in enumerate(items) if data[at * 32 : at * 32 + 32] != item]
            first = f" (first at {differing[0]})" if tile.level >= 0 and differing else ""
            self.add("tile-differs", f"ledger/{name}", f"not what the entries give{first}")

    def checkpoints(self) -> None:
        """Every kept checkpoint: signed by the log's key, and the root of a prefix of the entries."""
        logs = [one.principal for one in self.roster.holdings.values() if one.principal.role == "log"]
        known: dict[int, tuple[str, Checkpoint]] = {}
        for name in [*(name for name in self.files if name.startswith("checkpoints/")), "checkpoint"]:
            try:
                note = self.files.get(name, b"").decode()
                checkpoint = read_checkpoint(note, logs)
            except ValueError as error:
                self.add("checkpoint-invalid", f"ledger/{name}", str(error))
                continue
            if name not in ("checkpoint", f"checkpoints/{checkpoint.size}"):
                self.add("checkpoint-invalid", f"ledger/{name}", f"is for {checkpoint.size} entries")
            known[checkpoint.size] = f"ledger/{name}", checkpoint
            kept = max(self.notes, default=0)
            if name == "checkpoint" and checkpoint.size < kept:
                self.add("checkpoint-not-latest", f"ledger/{name}", f"is for {checkpoint.size} entries; kept ones go to {kept}")
            elif name == "checkpoint":
                self.served = checkpoint.size
            self.notes[checkpoint.size] = note
        self._roots(known)

    def _roots(self, known: Mapping[int, tuple[str, Checkpoint]]) -> None:
        statement = self.statements[0] if self.statements else None
        origin = origin_of(statement.predicate["workspace"]) if statement and statement.kind == "genesis" else ""
        tree = CompactRange()
        for size, (where, checkpoint) in sorted(known.items()):
            if size > len(self.entries):
                self.add("entries-missing", where, f"signed for {size} entries, of which {len(self.entries)} are published")
                continue
            tree = tree.extend(leaf_hash(entry) for entry in self.entries[tree.size : size])
            if checkpoint.origin != origin:
                self.add("checkpoint-invalid", where, f"is of the log {checkpoint.origin}")
            elif checkpoint.root != tree.root():
                self.add("root-differs", where, f"the first {size} entries are not those that were signed")
            else:
                self.covered = size

    def result(self) -> LogAudit:
        return LogAudit(
            findings=tuple(self.findings),
            entries=self.entries,
            statements=tuple(self.statements),
            notes=self.notes,
            covered=self.covered,
        )


def audit(folder: Path) -> LogAudit:
    """Check the published log in this folder."""
    run = _Audit(read_files(folder))
    run.read()
    if run.entries:
        run.enrol()
        run.signatures()
        run.checkpoints()
        run.tree()
    return run.result()
