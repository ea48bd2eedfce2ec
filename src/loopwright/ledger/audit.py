"""The published log, checked from its files alone: tree, checkpoints, signatures, rights and the order of events.

It trusts nothing but the keys in the genesis entry, reads no database, and reports everything it finds instead of
stopping at the first. One pass, a bundle at a time: what stays in memory are 32 bytes an entry and the files that are no full
tiles. A log that was cut and whose later checkpoints were removed too can only be told from a checkpoint that somebody else kept.
"""

from __future__ import annotations

import contextlib
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from loopwright.ledger.merkle import CompactRange, leaf_hash
from loopwright.ledger.note import Checkpoint, key_file, origin_of, read_checkpoint, read_text
from loopwright.ledger.order import disorder
from loopwright.ledger.principals import may_sign, right
from loopwright.ledger.roster import Roster
from loopwright.ledger.schema import problems
from loopwright.ledger.signatures import Signatures
from loopwright.ledger.statement import Statement, pae, read_payload, read_statement, seal, unseal
from loopwright.ledger.tiles import WIDTH, Entries, Tile, bundles_in, entries_of, levels_of, pack, read_files, tile_at, tiles_of
from loopwright.types import canonical

__all__ = ["Finding", "LogAudit", "Statements", "audit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as the record says."""

    code: str
    """Stable name of the kind of problem (listed in `docs/ledger-format.md`)."""
    where: str
    """A path relative to the workspace, or an entry of the log."""
    message: str


class Statements(Sequence[Statement]):
    """The statements of a log that can be read, each parsed when it is asked for."""

    def __init__(self, entries: Entries, readable: Sequence[int]) -> None:
        self._entries, self._readable = entries, readable

    def __len__(self) -> int:
        return len(self._readable)

    @overload
    def __getitem__(self, at: int) -> Statement: ...
    @overload
    def __getitem__(self, at: slice) -> Statements: ...
    def __getitem__(self, at: int | slice) -> Statement | Statements:
        if isinstance(at, slice):
            return Statements(self._entries, self._readable[at])
        return read_statement(self._entries[self._readable[at]], self._readable[at])


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAudit:
    """What an audit of the published log saw."""

    findings: tuple[Finding, ...]
    entries: Entries
    """Read again when they are asked for, and held against the hashes that the audit saw."""
    statements: Statements
    """Those that could be read; all of them where there are no findings."""
    notes: Mapping[int, str]
    """Kept checkpoints by size."""
    covered: int
    """Entries below the latest checkpoint that holds; what comes after is signed by its role only."""


def _found(code: str, where: str, message: str) -> Finding:
    return Finding(code=code, where=where, message=message)


def _at(index: int) -> str:
    return f"ledger entry {index}"


def _parse(entry: bytes, index: int) -> tuple[Statement, bytes, bytes]:
    """Statement, payload and signature of an entry; ValueError where it is not well formed."""
    envelope = unseal(entry)
    kind, subjects, predicate = read_payload(envelope.payload)
    if missing := problems(kind, predicate):
        raise ValueError(f"the {kind} statement lacks, or has impossible values in: {', '.join(missing)}")
    if (
        canonical(json.loads(envelope.payload)) != envelope.payload
        or seal(envelope.payload, envelope.keyid, envelope.signature) != entry
    ):
        raise ValueError("not written as RFC 8785 canonical JSON")
    statement = Statement(index=index, kind=kind, subjects=subjects, predicate=predicate, keyid=envelope.keyid)
    return statement, envelope.payload, envelope.signature


class _Audit:
    """One audit of one log's files, in the order in which the checks build on each other."""

    def __init__(self, files: Mapping[str, bytes], *, tree_only: bool) -> None:
        self.files = files
        self.bundles = bundles_in(files)
        self.signatures = Signatures(self.bundles[-1].stop if self.bundles and not tree_only else 0)
        self.findings: list[Finding] = []
        self.hashes = bytearray()
        """Leaf hashes of the entries that were read, one after the other."""
        self.damaged = False
        self.readable = array("Q")
        self.first: Statement | None = None
        self.roster = Roster(demo=False)
        self.roots: dict[int, bytes] = dict.fromkeys(sorted(_sizes(files)), b"")
        """Of the tree at every size that a checkpoint is for."""
        self.notes: dict[int, str] = {}
        self.covered = 0
        self.served = 0

    @property
    def size(self) -> int:
        """Entries that were read."""
        return len(self.hashes) // 32

    def add(self, code: str, where: str, message: str) -> None:
        self.findings.append(_found(code, where, message))

    def bytes_read(self) -> Iterator[list[bytes]]:
        """The entries, a bundle at a time, up to the first that is not whole; their hashes and the roots are kept."""
        tree, sizes = CompactRange(), list(reversed(self.roots))
        for tile in self.bundles:
            try:
                entries = entries_of(tile, self.files.get(tile.name, b""))
            except ValueError as error:
                name, _, problem = str(error).partition(": ")
                self.add("bundle-damaged", f"ledger/{name}", problem)
                self.damaged = True
                return
            hashes = list(map(leaf_hash, entries))
            self.hashes += b"".join(hashes)
            while sizes and sizes[-1] <= tile.stop:
                size = sizes.pop()
                self.roots[size] = tree.extend(hashes[: max(size - tile.start, 0)]).root()
            tree = tree.extend(hashes)
            yield entries

    def pass_over(self, *, tree_only: bool) -> None:
        """Every entry: readable, well formed, signed by a key that was enrolled then and may say this; then their order."""
        if tree_only:
            self.skim()
        else:
            for index, code, message in disorder(self.statements()):
                self.add(code, _at(index), message)
            for index in self.signatures.late():
                self.add("signature-invalid", _at(index), "not what its signer signed")
        if not self.size and not self.damaged:
            self.add("entries-missing", "ledger/tile/entries", "no entries are published")

    def skim(self) -> None:
        """Every entry's bytes, and of the first what it says."""
        for entries in self.bytes_read():
            if not self.readable and self.entry(0, entries[0]):
                self.readable.append(0)

    def statements(self) -> Iterator[Statement]:
        """Those that can be read, checked one by one."""
        index = 0
        for entries in self.bytes_read():
            for index, entry in enumerate(entries, index):  # noqa: B020  # goes on where the bundle before it ended
                if (statement := self.entry(index, entry)) is not None:
                    self.readable.append(index)
                    yield statement
            index += 1

    def entry(self, index: int, entry: bytes) -> Statement | None:
        """One entry; None, and a finding, where it is no statement. The first enrols the keys that all is checked by."""
        try:
            statement, payload, signature = _parse(entry, index)
            if index == 0:
                self.enrol(statement)
        except ValueError as error:
            self.add("entry-unreadable", _at(index), str(error))
            if index == 0:
                self.add("genesis-invalid", _at(0), f"enrols nobody: {error}")
            return None
        self.signature(statement, payload, signature)
        try:
            self.roster = self.roster.after(statement)
        except ValueError as error:
            self.add("enrolment-refused", _at(index), str(error))
        return statement

    def enrol(self, genesis: Statement) -> None:
        """The keys of the first entry, and their copy in ``keys.json``."""
        try:
            self.roster = Roster.of(genesis.predicate)
            self.first = genesis if genesis.kind == "genesis" else None
        except (ValueError, KeyError) as error:
            self.add("genesis-invalid", _at(0), f"enrols nobody: {error}")
            return
        if self.files.get("keys.json") != key_file(genesis.predicate):
            self.add("keys-differ", "ledger/keys.json", "missing, or not the keys that the genesis entry enrols")

    def signature(self, statement: Statement, payload: bytes, signature: bytes) -> None:
        at, holding = _at(statement.index), self.roster.holdings.get(statement.keyid)
        if holding is None:
            self.add("signer-unknown", at, f"signed by {statement.keyid}, whom nobody enrolled before this entry")
            return
        if holding.revoked is not None:
            self.add("signer-revoked", at, f"signed by {statement.keyid}, which entry {holding.revoked} revoked")
        holder = holding.principal
        if not self.signatures.check(statement.index, holder, signature, pae(payload)):
            self.add("signature-invalid", at, f"not what the {holder.role} signed")
        needed = right(statement.kind, statement.predicate)
        if not may_sign(holder.role, needed):
            self.add("role-refused", at, f"the {holder.role} may not sign {needed}")

    def checkpoints(self) -> None:
        """Every kept checkpoint: signed by the log's key, and the root of a prefix of the entries."""
        logs = [one.principal for one in self.roster.holdings.values() if one.principal.role == "log"]
        known: dict[int, tuple[str, Checkpoint]] = {}
        for name in _notes(self.files):
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
        self.check_roots(known)

    def check_roots(self, known: Mapping[int, tuple[str, Checkpoint]]) -> None:
        origin = origin_of(self.first.predicate["workspace"]) if self.first else ""
        for size, (where, checkpoint) in sorted(known.items()):
            if size > self.size:
                self.add("entries-missing", where, f"signed for {size} entries, of which {self.size} are published")
            elif checkpoint.origin != origin:
                self.add("checkpoint-invalid", where, f"is of the log {checkpoint.origin}")
            elif checkpoint.root != self.roots[size]:
                self.add("root-differs", where, f"the first {size} entries are not those that were signed")
            else:
                self.covered = size

    def tree(self) -> None:
        """Every published tile and bundle equals what the entries give; none is missing that the checkpoint needs.

        Entries beyond the checkpoint may be on their way: a driver publishes them first and their tiles after.
        """
        levels = levels_of(self.hashes)
        for tile in tiles_of(self.served if self.served <= self.size else 0):
            if tile.name not in self.files:
                self.add("tile-missing", f"ledger/{tile.name}", "not published")
        for name in self.files:
            if name.startswith("tile/"):
                self.check_tile(name, levels)

    def check_tile(self, name: str, levels: Sequence[bytes | bytearray]) -> None:
        try:
            tile = tile_at(name)
        except ValueError:
            self.add("tile-unknown", f"ledger/{name}", "no tile has this name")
            return
        level = levels[max(tile.level, 0)] if tile.level < len(levels) else b""
        if tile.stop * 32 > len(level):
            self.add("tile-beyond", f"ledger/{name}", f"a tile of a longer log than the {self.size} published entries")
        elif tile.level < 0:
            self.check_bundle(tile)
        elif (data := self.files.get(name, b"")) != level[tile.start * 32 : tile.stop * 32]:
            differing = [
                at for at in range(tile.start, tile.stop) if data[(at - tile.start) * 32 :][:32] != level[at * 32 :][:32]
            ]
            first = f" (first at {differing[0]})" if differing else ""
            self.add("tile-differs", f"ledger/{name}", f"not what the entries give{first}")

    def check_bundle(self, tile: Tile) -> None:
        """A narrower bundle is the beginning of the widest one of its number, which was read."""
        widest = self.bundles[tile.index]
        if tile != widest:
            entries = entries_of(widest, self.files.get(widest.name, b""))
            if self.files.get(tile.name) != pack(entries[: tile.width]):
                self.add("tile-differs", f"ledger/{tile.name}", "not what the entries give")

    def result(self) -> LogAudit:
        entries = Entries(self.files, self.bundles[: -(-self.size // WIDTH)], self.hashes)
        return LogAudit(
            findings=tuple(self.findings),
            entries=entries,
            statements=Statements(entries, self.readable),
            notes=self.notes,
            covered=self.covered,
        )


def _notes(files: Mapping[str, bytes]) -> list[str]:
    """Names of the checkpoints, the one that is served last."""
    return [*(name for name in files if name.startswith("checkpoints/")), "checkpoint"]


def _sizes(files: Mapping[str, bytes]) -> Iterator[int]:
    """The sizes that the checkpoints claim; whether they are signed is seen later, when all keys are known."""
    for name in _notes(files):
        with contextlib.suppress(ValueError):
            yield read_text(files.get(name, b"").decode().rpartition("\n\n")[0] + "\n").size


def audit(folder: Path, *, tree_only: bool = False) -> LogAudit:
    """Check the published log in this folder.

    ``tree_only``: entries and checkpoints are held against each other, and statements (all but the first) are not read: that every
    entry is what the log's key signed for says that none was changed since, and not who signed it.
    """
    run = _Audit(read_files(folder), tree_only=tree_only)
    try:
        run.pass_over(tree_only=tree_only)
    finally:
        run.signatures.close()
    if run.size:
        run.checkpoints()
        if tree_only and any(finding.code == "checkpoint-invalid" for finding in run.findings):
            return audit(folder)  # the log's key may have been rotated, which a statement says
        if not run.damaged:
            run.tree()
    return run.result()
