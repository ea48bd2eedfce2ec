"""Where a field is declared: for who answers it, before anything is signed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.report.claims import seen_digest
from loopwright.report.declaration import FieldSpec
from loopwright.report.loading import Loaded, load
from loopwright.report.record import open_record
from loopwright.report.sources import documents
from loopwright.types import Digest

__all__ = ["Found", "facts_digest", "field_ids", "find_field"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A field and the document that has it."""

    document: Loaded
    field: FieldSpec


def _every(root: Path, document: str | None) -> list[Found]:
    names = (document,) if document else documents(root)
    loaded = [load(root, name) for name in names]
    return [Found(document=one, field=field) for one in loaded for field in one.declaration.fields]


def field_ids(root: Path) -> frozenset[str]:
    """Ids of all fields of all documents."""
    return frozenset(one.field.id for one in _every(root, None))


def find_field(root: Path, name: str, document: str | None = None) -> Found:
    """The field of this id; of several documents that have one the first that people answer. UsageError where none has."""
    every = _every(root, document)
    found = [one for one in every if one.field.id == name]
    if not found:
        near = difflib.get_close_matches(name, [one.field.id for one in every], n=3)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise UsageError(f"no document has a field {name!r}", f"{hint}`loopwright report check DOCUMENT` lists open ones")
    return next((one for one in found if one.field.source != "auto"), found[0])


def facts_digest(root: Path, found: Found, about: str | None) -> tuple[str, Digest]:
    """What the field is about, and the identity of the facts that a person confirms there.

    UsageError where the record has none to confirm.
    """
    if not found.field.query:
        raise UsageError(f"{found.field.id} has no facts to confirm", "answer it with --text or --file")
    record = open_record(root)
    declaration = found.document.declaration
    place, cycle = record.about(declaration.scope, about, declaration.incident)
    facts = record.facts(place, cycle, declaration.incident)
    if all(facts[path].value is None for path in found.field.query):
        raise UsageError(
            f"the record has nothing to confirm in {found.field.id} about {place}", "answer it with --text or --file"
        )
    return place, seen_digest(found.field, facts)
