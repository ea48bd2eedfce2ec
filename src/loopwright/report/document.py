"""A document as data: everything that it says to one audience in one language. HTML, PDF and JSON are made from this and nothing else.

Its JSON Schema is published (``reports/schema/document.json``). What another audience may see is not in here at all.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "STATES",
    "About",
    "Applies",
    "Checkpoint",
    "Claim",
    "Document",
    "Due",
    "Evidence",
    "FactShown",
    "NamedFile",
    "Provenance",
    "Section",
    "Statement",
    "Status",
]

State = Literal["value", "draft", "statement", "not provided", "not applicable"]
STATES: tuple[str, ...] = State.__args__  # type: ignore[attr-defined]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class FactShown(_Closed):
    """A fact of the record, with what it stands on."""

    path: str
    """Name in the catalogue (`docs/report-facts.md`)."""
    label: str
    show: str
    value: Any
    """Plain JSON; a table has ``columns`` (keys), ``heads`` (their words) and ``rows``."""
    unit: str
    digits: int | None
    method: str
    evidence: tuple[str, ...]
    """Ids in the document's ``evidence``."""


class NamedFile(_Closed):
    """A file that a person attached to an answer."""

    name: str
    media_type: str
    digest: str
    bytes: int


class Statement(_Closed):
    """What a named person said, signed."""

    kind: Literal["statement", "confirmed", "not-applicable"]
    by: str
    key: str
    note: str
    """Of a demonstration's key: that it is no person."""
    at: str
    version: int
    about: str
    """``loop``, a cycle or an incident."""
    text: str | None
    """Plain text; None where the person confirmed the facts, or the words were erased."""
    files: tuple[NamedFile, ...]
    evidence: tuple[str, ...]


class Due(_Closed):
    """When an open field is due."""

    rule: str
    label: str
    date: str | None
    """ISO 8601; None where the record does not tell what it counts from."""


class Claim(_Closed):
    """A field with its answer."""

    id: str
    ref: str
    label: str
    help: str
    source: Literal["auto", "auto+human", "human"]
    state: State
    facts: tuple[FactShown, ...]
    """The first is the value."""
    statement: Statement | None
    reason: str
    """Why it does not apply, or why an answer that was given does not count."""
    grounds: tuple[str, ...] = ()
    """Evidence by which the record says that it does not apply."""
    owner: str
    due: Due | None
    """None where nothing is open."""


class Section(_Closed):
    """A heading with its claims."""

    id: str
    ref: str
    part: str = ""
    """The heading above it, where there is one."""
    title: str
    claims: tuple[Claim, ...]


class Evidence(_Closed):
    """One thing that claims stand on."""

    id: str
    kind: Literal["entry", "artifact", "answer"]
    what: str
    sha256: str
    where: str
    leaf: int | None
    """Index in the log."""
    check: str
    """The command that checks it."""


class Status(_Closed):
    """How far it is complete, counting only what this audience sees."""

    complete: bool
    answered: int
    of: int
    by_state: dict[str, int]


class Applies(_Closed):
    """The law behind it, as data."""

    act: str
    ref: str
    title: str
    cite: str
    version: str
    verified: bool
    """Was it checked against the Official Journal?"""
    note: str
    words: str
    """To whom and from when, in the document's own words."""


class About(_Closed):
    """What it is about."""

    scope: Literal["cycle", "loop", "incident"]
    id: str
    """A cycle, an incident, or ``loop``."""
    cycle: str
    """The cycle that cycle facts are read from."""
    loop: str
    workspace: str
    demo: bool
    as_of: str
    """Newest time that an entry under the checkpoint tells: the date of the document."""


class Checkpoint(_Closed):
    """The signed tree head that all of it was drawn from."""

    origin: str
    size: int
    root: str


class Provenance(_Closed):
    """What the document is a function of."""

    checkpoint: Checkpoint
    sources: str
    lock: str
    versions: dict[str, str]


class Document(_Closed):
    """A report."""

    schema_: Literal[2] = Field(alias="schema", default=2)
    document: str
    title: str
    purpose: str
    limits: str
    language: str
    audience: str
    about: About
    law: Applies
    status: Status
    sections: tuple[Section, ...]
    evidence: tuple[Evidence, ...]
    provenance: Provenance

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All of them, in order."""
        return tuple(claim for section in self.sections for claim in section.claims)
