"""Builds a document: checked record -> facts -> claims -> HTML -> PDF, with the same data as JSON beside and inside it.

A report is a pure function of checkpoint, report sources and installed packages, and prints all three. It is drawn only
from entries under a signed checkpoint that an offline audit has found in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import loopwright
from loopwright.clock import rfc3339
from loopwright.errors import InfraError, IntegrityError, WorkspaceError
from loopwright.identity import lock_digest
from loopwright.ledger.audit import LogAudit, audit
from loopwright.ledger.note import read_text
from loopwright.report.claims import read_declaration, resolve
from loopwright.report.facts import cycle_facts, evidence_rows, phase_rows, score_rows
from loopwright.report.format import environment
from loopwright.report.pdf import DataFile, typeset, typesetter
from loopwright.report.sources import Sources, find_sources
from loopwright.types import Digest, canonical, digest_bytes

__all__ = ["BuiltReport", "build"]

_DECISIONS = {
    "promote": ("Promoted", "good"),
    "reject": ("Rejected", "bad"),
    "hold": ("On hold", "wait"),
    "halt": ("Halted", "bad"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltReport:
    """A document on disk, and what it is a function of."""

    pdf: Path
    json: Path
    pdf_digest: Digest
    json_digest: Digest
    sources: Digest
    checkpoint: int
    """Entries under the checkpoint it was drawn from."""


def build(root: Path, document: str, cycle: str, output: Path | None = None) -> BuiltReport:
    """Build a document about one cycle of the workspace at ``root``.

    Args:
        root: the workspace.
        document: a folder of ``reports/``, for example ``cycle``.
        cycle: for example ``c0003``.
        output: folder for the files; ``build/reports`` of the workspace by default.

    Raises:
        IntegrityError: the record is not in order; nothing is drawn from it.
        UsageError: no such document or cycle, or the document's sources are wrong.
        InfraError: pango is missing, or the disk is full.
    """
    sources = find_sources(root, document)
    record = _checked(root)
    data = _document(record, sources, cycle)
    payload = canonical(data)
    name = f"{document}-{cycle}"
    attached = DataFile(name=f"{name}.json", data=payload, description="Every field of this document, with its leaf in the log")
    html = _html(data, sources, attached.name)
    pdf = typeset(html, sources.files, (attached,), datetime.fromisoformat(data["about"]["as_of"]))
    folder = output or root / "build" / "reports"
    return BuiltReport(
        pdf=_write(folder / f"{name}.pdf", pdf),
        json=_write(folder / f"{name}.json", payload),
        pdf_digest=digest_bytes(pdf),
        json_digest=digest_bytes(payload),
        sources=sources.digest,
        checkpoint=data["provenance"]["checkpoint"]["size"],
    )


def _checked(root: Path) -> LogAudit:
    if not (root / "ledger").is_dir():
        raise WorkspaceError(
            f"{root} has no ledger", "`loopwright init DIRECTORY` makes a workspace, `loopwright run` fills it"
        )
    record = audit(root / "ledger")
    if record.findings:
        first = record.findings[0]
        more = f" (and {len(record.findings) - 1} more)" if len(record.findings) > 1 else ""
        raise IntegrityError(f"the record is not in order: {first.where}: {first.message}{more}", "loopwright verify")
    return record


def _document(record: LogAudit, sources: Sources, cycle: str) -> dict[str, Any]:
    """All that the document says, as plain JSON: the PDF is this, typeset."""
    declaration = read_declaration(sources.text(f"{sources.document}/fields.yaml"), f"reports/{sources.document}/fields.yaml")
    facts = cycle_facts(record.statements[: record.covered], cycle)
    seed = facts["open"]["values"]["parent"] is None
    sections = [
        {"id": part.id, "title": part.title, "claims": [asdict(resolve(field, facts, seed=seed)) for field in part.fields]}
        for part in declaration.sections
    ]
    note = read_text(record.notes[record.covered].rpartition("\n\n")[0] + "\n")
    return {
        "schema": 1,
        "document": sources.document,
        "title": declaration.title,
        "purpose": declaration.purpose,
        "limits": declaration.limits,
        "about": {**facts["summary"]["values"], **_times(facts), "seed": seed},
        "sections": sections,
        "scores": score_rows(facts),
        "evidence": evidence_rows(facts),
        "phases": phase_rows(facts),
        "provenance": {
            "checkpoint": {"origin": note.origin, "size": note.size, "root": "sha256:" + note.root.hex()},
            "sources": sources.digest,
            "lock": lock_digest(),
            "versions": {"loopwright": loopwright.__version__, **typesetter()},
        },
    }


def _times(facts: Mapping[str, Any]) -> dict[str, Any]:
    """When the cycle began and ended by the record, and the last thing known of it: the date that the document bears."""
    opened = facts["open"]["values"]["opened_at"]
    closed = facts.get("close", {}).get("values", {}).get("closed_at")
    known = [opened, closed, *(entry["values"].get("finished_at") for entry in facts.values())]
    last = max(datetime.fromisoformat(time) for time in known if time)
    as_of = rfc3339(last, "seconds")
    return {"opened": opened, "closed": closed, "as_of": as_of}


def _html(data: Mapping[str, Any], sources: Sources, attached: str) -> str:
    engine = environment()
    template = engine.from_string(sources.text(f"{sources.document}/template.html.j2"))
    claims = {part["id"]: {claim["id"]: claim for claim in part["claims"]} for part in data["sections"]}
    phases = {row["phase"]: row for row in data["phases"]}
    action = claims.get("decision", {}).get("action", {}).get("value")
    word, tone = _DECISIONS.get(action, ("No decision yet", "none"))
    return template.render(
        {**data, **data["provenance"]},
        attached=attached,
        claims=claims,
        parts={part["id"]: part for part in data["sections"]},
        decision={"word": word, "tone": tone},
        evidence=[{**row, **phases[row["phase"]]} for row in data["evidence"]],
        methods=sorted({row[suite]["method"] for row in data["scores"] for suite in ("gate", "sealed") if row[suite]}),
    )


def _write(path: Path, data: bytes) -> Path:
    """Put the file in place whole; a reader never sees half of one."""
    draft = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InfraError(f"cannot write {path}: {error.strerror}", "make room or choose another --output") from error
    return path
