"""The fields of a report, each a claim: a value with the entry of the log that it stands on, or the plain word that there is none.

``fields.yaml`` of a document names them: an id, a label, a dotted path into the facts, and how to show the value. The
first part of a path is the entry it is read from, so that every claim knows its leaf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loopwright.errors import UsageError

__all__ = ["Claim", "Declaration", "FieldSpec", "Section", "read_declaration", "resolve"]

NOT_PROVIDED = "NOT PROVIDED"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FieldSpec(_Closed):
    """One field of a document."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    label: str
    path: str = Field(pattern=r"^[a-z]+(\.[a-z_]+)+$")
    """Entry, then keys: ``decide.gain``."""
    otherwise: str = Field(default="", alias="or", pattern=r"^([a-z]+(\.[a-z_]+)+)?$")
    """Where to look when ``path`` has nothing."""
    show: Literal["text", "list", "number", "count", "counts", "score", "share", "digest", "time", "probability"] = "text"
    seed: str = ""
    """Why the seed cycle (c0000) has none: it then says NOT APPLICABLE with this reason."""


class Section(_Closed):
    """A heading with its fields."""

    id: str
    title: str
    fields: list[FieldSpec] = []


class Declaration(_Closed):
    """``fields.yaml``."""

    schema_: Literal[1] = Field(alias="schema")
    title: str
    purpose: str
    limits: str
    sections: list[Section]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A field with its answer."""

    id: str
    label: str
    show: str
    state: Literal["provided", "not provided", "not applicable"]
    value: Any
    """Plain JSON; None unless provided."""
    note: str
    """Why it does not apply; empty otherwise."""
    leaf: int | None
    """Index in the log of the entry that the value was read from."""


def read_declaration(text: str, where: str) -> Declaration:
    """Parse ``fields.yaml``; UsageError says what in it is wrong."""
    try:
        return Declaration.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise UsageError(
            f"{where} is not a declaration of fields: {error}", "compare it with reports/cycle/fields.yaml"
        ) from error


def resolve(field: FieldSpec, facts: Mapping[str, Any], *, seed: bool) -> Claim:
    """Look a field up. A missing value is said, never left blank: a blank cannot be told from an oversight."""
    here = {"id": field.id, "label": field.label, "show": field.show}
    for path in filter(None, (field.path, field.otherwise)):
        value, leaf = _look(path, facts)
        if value is not None:
            return Claim(**here, state="provided", value=value, note="", leaf=leaf)
    if seed and field.seed:
        return Claim(**here, state="not applicable", value=None, note=field.seed, leaf=None)
    return Claim(**here, state="not provided", value=None, note="", leaf=None)


def _look(path: str, facts: Mapping[str, Any]) -> tuple[Any, int | None]:
    entry, *keys = path.split(".")
    source = facts.get(entry, {"leaf": None, "values": None})
    value = source["values"]
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value, source["leaf"]
