"""All documents of a workspace at a glance: what there is, and how complete each is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loopwright.errors import UsageError
from loopwright.report.engine import document_of
from loopwright.report.loading import load
from loopwright.report.record import open_record
from loopwright.report.sources import documents

__all__ = ["listed", "standing"]


def listed(root: Path, language: str) -> list[dict[str, Any]]:
    """Title, law, subject, audiences, languages, number of fields and due date of each document."""
    rows = []
    for name in documents(root):
        loaded = load(root, name)
        labels, words, told = loaded.labels(language), loaded.words(language), loaded.declaration
        act = loaded.law.acts[told.law.act]
        rows.append(
            {
                "document": name,
                "title": labels.title,
                "law": f"{words.of(act.title)}{': ' + told.law.ref if told.law.ref else ''}",
                "verified": act.verified == "official-journal",
                "scope": told.scope,
                "audiences": list(told.audiences),
                "languages": list(loaded.sources.languages),
                "fields": len(told.fields),
                "due": words.of(loaded.law.due[told.due].label),
            }
        )
    return rows


def standing(root: Path, about: str | None, language: str) -> list[dict[str, Any]]:
    """Completeness of each document for each audience; a document of an incident where there is none says so."""
    record, rows = open_record(root), []
    for name in documents(root):
        loaded = load(root, name)
        scope = loaded.declaration.scope
        asked = about if (about or "").startswith("inc-") == (scope == "incident") else None
        for audience in loaded.declaration.audiences:
            try:
                made = document_of(record, loaded, asked, language=language, audience=audience)
            except UsageError as error:
                told = {"about": "-", "status": error.message, "by_state": {}, "complete": None, "answered": 0, "of": 0}
            else:
                at = made.status
                word = "COMPLETE" if at.complete else f"INCOMPLETE {at.answered} of {at.of}"
                told = {"about": made.about.id, "status": word, **at.model_dump(mode="json")}
            rows.append({"document": name, "audience": audience, **told})
    return rows
