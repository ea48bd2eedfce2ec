"""The submission register as people read it, and the one file that an auditor takes away: reports, receipts, log."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from loopwright.errors import IntegrityError, LoopwrightError
from loopwright.ledger.answers import FOLDER as WORDS
from loopwright.ledger.answers import Content, words
from loopwright.ledger.filings import Filed, Step, frozen, register
from loopwright.ledger.names import names_of
from loopwright.report.document import Document
from loopwright.report.enclosed import DOCUMENT
from loopwright.report.record import Record, open_record
from loopwright.types import canonical, digest_bytes

__all__ = ["auditors_bundle", "rows"]

_DATE = (1980, 1, 1, 0, 0, 0)
_README = """Reports that were filed, and the record that they were drawn from. Nothing here needs the internet or trust in us.

  reports/         the exact bytes, named by their sha256; each holds its own data
  register.json    what was reviewed, approved and submitted, by whom, to whom
  answers/         words and receipts that the log has the digests of
  ledger/          the published log

  loopwright report verify reports/FILE.pdf --key KEY     the file alone; KEY is in ledger/keys.json, ask us for it by another way
  loopwright verify --workspace . --tree                   the log, every signature, offline
"""


def rows(root: Path) -> list[dict[str, Any]]:
    """Each filed report, oldest first. ``changed``: fields that the record gives otherwise today; None where it cannot be drawn."""
    record = open_record(root)
    return [_row(record, filed) for filed in register(record.state.acts, record.state.roster).values()]


def _row(record: Record, filed: Filed) -> dict[str, Any]:
    path = frozen(record.root, filed.file)
    same = ("file", "document", "about", "language", "audience", "checkpoint", "state")
    return {
        **{name: getattr(filed, name) for name in same},
        "path": path.relative_to(record.root).as_posix(),
        "kept": _kept(path, filed),
        "changed": _changed(record, filed, path),
        "steps": [_step(record, step) for step in filed.steps],
    }


def _kept(path: Path, filed: Filed) -> bool:
    """Are the frozen bytes there? IntegrityError where they are others."""
    if not path.is_file():
        return False
    if digest_bytes(path.read_bytes()) != filed.file:
        raise IntegrityError(f"{path} is not the report that was filed", f"`git log {path.name}`; restore it")
    return True


def _step(record: Record, step: Step) -> dict[str, Any]:
    said = words(record.root, step.words) if step.words else None
    holding = record.state.roster.holdings.get(step.key)
    named = names_of(record.root, record.state.roster).get(step.key)
    mark = record.state.roster.note(step.key)
    return {
        "state": step.state, "by": named or (holding.principal.id if holding else step.key), "key": step.key, "mark": f" ({mark})" if mark else "",
        "filed_at": step.filed_at, "leaf": step.index, **_words(said),
    }  # fmt: skip


def _words(said: Content | None) -> Mapping[str, Any]:
    files = (
        [{"name": one.name, "media_type": one.media_type, "digest": one.digest, "bytes": one.bytes} for one in said.files]
        if said
        else []
    )
    return {"recipient": said.reason if said else None, "note": said.text if said else None, "receipts": files}


def _changed(record: Record, filed: Filed, path: Path) -> list[dict[str, str]] | None:
    """What a new build would say otherwise, field by field."""
    from loopwright.report.compare import changes
    from loopwright.report.engine import document_of
    from loopwright.report.loading import load

    try:
        old = _inside(path)
        asked = filed.about if old.about.scope != "loop" else None
        new = document_of(record, load(record.root, filed.document), asked, language=filed.language, audience=filed.audience)
        new = Document.model_validate_json(canonical(new.model_dump(mode="json", by_alias=True)))  # numbers as in the file
        return [{"id": one.id, "label": one.label, "change": one.change} for one in changes(old, new)]
    except (LoopwrightError, OSError, ValueError, KeyError):
        return None


def _inside(path: Path) -> Document:
    from pypdf import PdfReader

    return Document.model_validate_json(PdfReader(path).attachments[DOCUMENT][0])


def auditors_bundle(root: Path) -> tuple[bytes, list[str]]:
    """A ZIP archive and its members' names; the same record and register give the same bytes."""
    told = rows(root)
    members = {
        "README.txt": _README.encode(),
        "register.json": json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True).encode(),
    }
    for row in told:
        if row["kept"]:
            members[f"reports/{Path(row['path']).name}"] = (root / row["path"]).read_bytes()
    members |= dict(_below(root, "ledger")) | dict(_below(root, WORDS))
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr, info.compress_type = 3, 0o100444 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, members[name])
    return out.getvalue(), sorted(members)


def _below(root: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted((root / folder).rglob("*")):
        if path.is_file():
            yield path.relative_to(root).as_posix(), path.read_bytes()
