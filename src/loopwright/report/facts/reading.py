"""What a fact is read from: the entries of an audited log, and evidence whose bytes are those that the log has the digests of.

A `Reader` notes every entry and digest that it hands out, so that a fact says by itself what it stands on. Evidence that this copy
of the workspace does not hold (an output that DVC has not pulled) is noted as absent; evidence with other bytes is refused.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import IntegrityError, UsageError
from loopwright.ledger.acts import Request
from loopwright.ledger.audit import LogAudit
from loopwright.ledger.fold import CycleRecord, LoopState, PhaseRecord, fold
from loopwright.ledger.note import Checkpoint, read_text
from loopwright.ledger.statement import Statement
from loopwright.store.tables import part_names
from loopwright.types import Artifact, Digest, FileEntry, digest_bytes

if TYPE_CHECKING:
    import polars as pl

    from loopwright.report.facts.catalogue import Fact

__all__ = ["Absent", "Reader", "Source"]


class Absent(LookupError):
    """The record has none of what was asked for: the fact has no value."""


class Told(dict[str, Any]):
    """A mapping that the record tells; what an older version of the program did not write down is absent, and no error."""

    def __missing__(self, key: str) -> Any:
        raise Absent(key)


@dataclass(frozen=True)
class Source:
    """One record under its last checkpoint, and the workspace that it is about."""

    record: LogAudit
    root: Path
    asked: str | None = None
    """The cycle that the document is about; None: the newest closed one."""
    incident: str | None = None
    """The incident that the document is about; None: the newest."""

    @functools.cached_property
    def statements(self) -> tuple[Statement, ...]:
        """The entries under the checkpoint."""
        return tuple(self.record.statements[: self.record.covered])

    @functools.cached_property
    def state(self) -> LoopState:
        """Where the loop stood then."""
        return fold(self.statements)

    @functools.cached_property
    def cycle(self) -> str | None:
        """The cycle's name; None where none was closed yet. UsageError where the record has no such cycle."""
        if self.asked is None:
            return self.state.last
        if self.asked not in self.state.cycles:
            known = ", ".join(self.state.cycles) or "none"
            raise UsageError(f"the record has no cycle {self.asked!r} under its last checkpoint", f"one of: {known}")
        return self.asked

    @functools.cached_property
    def kinds(self) -> Mapping[str, tuple[Statement, ...]]:
        """Entries by kind, in the order of the log."""
        found: dict[str, list[Statement]] = {}
        for statement in self.statements:
            found.setdefault(statement.kind, []).append(statement)
        return {kind: tuple(some) for kind, some in found.items()}

    @functools.cached_property
    def models(self) -> Mapping[Digest, str]:
        """The cycle that made each model."""
        made = ((record.artifact("model"), name) for name, record in self.state.cycles.items())
        return {artifact.digest: name for artifact, name in made if artifact}

    @functools.cached_property
    def _bytes(self) -> dict[tuple[str, str], bytes]:
        return {}

    @functools.cached_property
    def kept(self) -> dict[str, Any]:
        """What several facts share, made once."""
        return {}

    def checked(self, path: str, digest: Digest) -> bytes:
        """The file at ``path``, which has this digest; Absent where it is not here, IntegrityError where its bytes differ."""
        if (path, digest) not in self._bytes:
            try:
                data = (self.root / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError) as error:
                raise Absent(path) from error
            if digest_bytes(data) != digest:
                raise IntegrityError(
                    f"{path} is not what the record has the digest of; nothing is drawn from it", "loopwright verify"
                )
            self._bytes[path, digest] = data
        return self._bytes[path, digest]


@dataclass(slots=True)
class Reader:
    """The view of one fact; what it was handed is in ``leaves``, ``digests`` and ``absent``."""

    source: Source
    facts: Mapping[str, Fact]
    leaves: set[int] = field(default_factory=set)
    digests: set[Digest] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    method: str = ""
    """Where it is not the one that the name was bound with."""

    @property
    def state(self) -> LoopState:
        """The fold; what is read from it has to be noted by `leaf`."""
        return self.source.state

    def leaf(self, *indexes: int) -> None:
        """Note entries."""
        self.leaves.update(indexes)

    @property
    def cycle(self) -> CycleRecord:
        """The document's cycle."""
        if self.source.cycle is None:
            raise Absent("cycle")
        return self.record(self.source.cycle)

    def record(self, name: str | None) -> CycleRecord:
        """A cycle by name."""
        if name is None or name not in self.state.cycles:
            raise Absent(str(name))
        self.leaf(self.state.cycles[name].index)
        return self.state.cycles[name]

    def cycles(self) -> Iterator[CycleRecord]:
        """All cycles up to the document's one, in the order in which they were opened."""
        for name in self.state.cycles:
            yield self.record(name)
            if name == self.source.cycle:
                return

    def phase(self, phase: str, cycle: CycleRecord | None = None) -> PhaseRecord:
        """A finished phase; Absent where there is none."""
        done = (cycle or self.cycle).phases.get(phase)
        if done is None:
            raise Absent(phase)
        self.leaf(done.index)
        return done

    def summary(self, phase: str, cycle: CycleRecord | None = None) -> Mapping[str, Any]:
        """A phase's summary; an empty one where the cycle has no such phase."""
        record = cycle or self.cycle
        return self.phase(phase, record).summary if phase in record.phases else {}

    def told(self, phase: str, cycle: CycleRecord | None = None) -> Mapping[str, Any]:
        """The summary of a phase that has to be there."""
        return Told(self.phase(phase, cycle).summary)

    def signer(self, index: int) -> str:
        """Key id of who signed an entry."""
        return self.source.statements[index].keyid

    def head(self) -> Checkpoint:
        """The signed checkpoint that everything is drawn from: what any count over the whole log, and any "there is none", stands on."""
        found = read_text(self.source.record.notes[self.source.record.covered].rpartition("\n\n")[0] + "\n")
        self.digests.add("sha256:" + found.root.hex())
        return found

    def entries(self, *kinds: str) -> list[Statement]:
        """Every entry of these kinds, in the order of the log."""
        self.head()
        found = sorted((one for kind in kinds for one in self.source.kinds.get(kind, ())), key=lambda one: one.index)
        self.leaf(*(one.index for one in found))
        return found

    def of_kind(self, kind: str) -> Sequence[Statement]:
        """Entries of one kind, of which a fact notes those that it uses."""
        self.head()
        return self.source.kinds.get(kind, ())

    def requests(self) -> Sequence[Request]:
        """Every request, with its answers, of which a fact notes those that it uses."""
        self.head()
        return tuple(self.state.acts.requests.values())

    def opened(self, cycle: CycleRecord | None = None) -> Mapping[str, Any]:
        """What the entry says that opened a cycle."""
        record = cycle or self.cycle
        statement = self.source.statements[record.index]
        if statement.kind == "open":
            return statement.predicate
        return next(told for told in statement.predicate["cycles"] if told["cycle"] == record.cycle)

    def config(self, phase: str, cycle: CycleRecord | None = None) -> Mapping[str, Any]:
        """The recorded configuration file of a phase: ``config``, ``refs``, ``seed``."""
        record = cycle or self.cycle
        digest = self.phase(phase, record).config
        if digest is None:
            raise Absent(phase)
        return Told(json.loads(self._read(f"cycles/{record.cycle}/config/{phase}.json", digest), object_hook=Told))

    def plugin(self, what: str, phase: str, cycle: CycleRecord | None = None) -> Mapping[str, Any]:
        """``name`` and ``settings`` of the ``domain`` or the ``model`` that a phase was configured with."""
        found = self.config(phase, cycle).get("refs", {}).get(what)
        if not found:
            raise Absent(what)
        return dict(found)

    def artifact(self, kind: str, cycle: CycleRecord | None = None) -> Artifact:
        """An output of a cycle by kind."""
        record = cycle or self.cycle
        for done in record.phases.values():
            for artifact in done.artifacts:
                if artifact.kind == kind:
                    self.leaf(done.index)
                    self.digests.add(artifact.digest)
                    return artifact
        raise Absent(kind)

    def files(self, artifact: Artifact) -> Sequence[FileEntry]:
        """The files of an artifact, as its manifest in git has them."""
        place = Path(artifact.path)
        data = self._read((place.parent / "manifests" / f"{place.stem}.json").as_posix(), artifact.digest)
        return [FileEntry(**file) for file in json.loads(data)["files"]]

    def file(self, artifact: Artifact, name: str) -> bytes:
        """The bytes of one file of an artifact; Absent where this copy of the workspace does not hold it."""
        entry = next((one for one in self.files(artifact) if one.path == name), None)
        if entry is None:
            raise Absent(name)
        single = artifact.path.endswith(f"/{name}")
        return self._read(artifact.path if single else f"{artifact.path}/{name}", f"sha256:{entry.sha256}")

    def json(self, artifact: Artifact, name: str) -> Any:
        """One JSON file of an artifact."""
        return json.loads(self.file(artifact, name), object_hook=Told)

    def table(self, artifact: Artifact, name: str) -> pl.DataFrame:
        """One table of an artifact, however many Parquet files it is."""
        import io

        import polars as pl

        names = part_names(name, [one.path for one in self.files(artifact)])
        return pl.concat(pl.read_parquet(io.BytesIO(self.file(artifact, one))) for one in names)

    def _read(self, path: str, digest: Digest) -> bytes:
        try:
            data = self.source.checked(path, digest)
        except Absent:
            self.absent.add(path)
            raise
        self.digests.add(digest)
        return data

    def fact(self, path: str) -> Any:
        """The value of another fact, with all that it stands on; Absent where it has none."""
        found = self.facts[path]
        self.leaves.update(found.leaves)
        self.digests.update(found.digests)
        self.absent.update(found.absent)
        if found.value is None:
            raise Absent(path)
        return found.value

    def maybe(self, path: str) -> Any:
        """The same, or None."""
        try:
            return self.fact(path)
        except Absent:
            return None
