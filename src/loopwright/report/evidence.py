"""The index of what a document's claims stand on: entry, artifact or answer -> sha256 -> where it lies -> how to check it.

It has only what the visible claims refer to, in the order in which they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loopwright.ledger.answers import FOLDER, Answer
from loopwright.ledger.audit import LogAudit
from loopwright.ledger.fold import LoopState
from loopwright.ledger.statement import Statement
from loopwright.report.document import Evidence
from loopwright.report.facts import Fact
from loopwright.types import Digest, digest_bytes

__all__ = ["EvidenceIndex"]


class EvidenceIndex:
    """Grows while claims are made; `rows` is what the document prints."""

    def __init__(self, record: LogAudit, state: LoopState) -> None:
        self._record = record
        self._paths = _paths(state)
        self._rows: dict[tuple[str, str], Evidence] = {}

    @property
    def rows(self) -> tuple[Evidence, ...]:
        """In the order in which claims referred to them."""
        return tuple(self._rows.values())

    def of_fact(self, fact: Fact) -> tuple[str, ...]:
        """Ids of what a fact stands on."""
        entries = [self._entry(leaf) for leaf in fact.leaves]
        return (*entries, *(self._artifact(digest, fact.leaves) for digest in fact.digests))

    def of_answer(self, answer: Answer) -> tuple[str, ...]:
        """Ids of an answer: its entry, and the file with its words."""
        entry = self._entry(answer.index)
        if answer.digest is None:
            return (entry,)
        where = f"{FOLDER}/{answer.digest.removeprefix('sha256:')}.json"
        return (entry, self._add("answer", answer.digest, f"{answer.field}, {answer.about}", where, answer.index))

    def _entry(self, leaf: int) -> str:
        digest = digest_bytes(self._record.entries[leaf])
        return self._add("entry", digest, _told(self._record.statements[leaf]), f"ledger #{leaf}", leaf)

    def _artifact(self, digest: Digest, leaves: Sequence[int]) -> str:
        path, leaf = self._paths.get(digest, ""), leaves[0] if leaves else None
        named = f"ledger #{leaf}" if leaf is not None else "ledger"
        return self._add("artifact", digest, path.rpartition("/")[2] or "sha256", path or named, leaf)

    def _add(self, kind: str, digest: Digest, what: str, where: str, leaf: int | None) -> str:
        key = (kind, digest)
        if key not in self._rows:
            check = {"entry": "loopwright verify", "artifact": "loopwright verify", "answer": f"sha256sum {where}"}[kind]
            self._rows[key] = Evidence(
                id=f"E{len(self._rows) + 1}", kind=kind, what=what, sha256=digest, where=where, leaf=leaf, check=check,  # type: ignore[arg-type]  # of three
            )  # fmt: skip
        return self._rows[key].id


def _told(statement: Statement) -> str:
    """Kind, and of which phase and cycle."""
    said = statement.predicate
    return " ".join(str(part) for part in (statement.kind, said.get("phase"), said.get("cycle")) if part)


def _paths(state: LoopState) -> Mapping[Digest, str]:
    """Where the artifacts of the record lie."""
    made = (artifact for record in state.cycles.values() for phase in record.phases.values() for artifact in phase.artifacts)
    return {artifact.digest: artifact.path for artifact in made}
