"""What changed between two versions of a document: field by field, by what they say and not by where it stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from loopwright.errors import UsageError
from loopwright.report.document import Claim, Document

__all__ = ["Change", "changes", "read_document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that is not as it was."""

    id: str
    label: str
    change: str
    """``added``, ``removed`` or ``changed``."""
    what: tuple[str, ...]
    """Of a changed one: ``state``, ``value``, ``statement``, ``reason``, ``label``."""
    before: Any
    """State, values by fact, and what a person said; None where it was not there."""
    after: Any


def read_document(path: Path) -> Document:
    """A JSON file that `report build` wrote; UsageError where it is something else."""
    try:
        return Document.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "`loopwright report build DOCUMENT --format json`"
        ) from error
    except ValidationError as error:
        raise UsageError(
            f"{path} is no document of schema 2 ({error.error_count()} problems)",
            "`loopwright report build DOCUMENT --format json`",
        ) from error


def changes(old: Document, new: Document) -> tuple[Change, ...]:
    """Every difference, in the order of the new document, what is gone at the end.

    UsageError where they are not two versions of one document for one audience in one language.
    """
    for name in ("document", "audience", "language"):
        if getattr(old, name) != getattr(new, name):
            raise UsageError(
                f"two versions of one document are compared; {name} is {getattr(old, name)} and {getattr(new, name)}",
                "build both alike",
            )
    before, after = ({claim.id: claim for claim in one.claims} for one in (old, new))
    found = [_changed(before.get(name), claim) for name, claim in after.items()]
    gone = [_one(claim, "removed", (), _told(claim), None) for name, claim in before.items() if name not in after]
    return tuple(change for change in (*found, *gone) if change is not None)


def _changed(old: Claim | None, new: Claim) -> Change | None:
    if old is None:
        return _one(new, "added", (), None, _told(new))
    before, after = _told(old), _told(new)
    what = tuple(key for key in before if _same(before[key]) != _same(after[key]))
    return _one(new, "changed", what, before, after) if what else None


def _one(claim: Claim, change: str, what: tuple[str, ...], before: Any, after: Any) -> Change:
    return Change(id=claim.id, label=claim.label, change=change, what=what, before=before, after=after)


def _told(claim: Claim) -> Mapping[str, Any]:
    said = claim.statement
    return {
        "state": claim.state,
        "value": {fact.path: fact.value for fact in claim.facts},
        "statement": said.model_dump(mode="json", exclude={"evidence"}) if said else None,
        "reason": claim.reason,
        "label": claim.label,
    }


def _same(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
