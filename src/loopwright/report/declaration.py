"""What a document declares: ``fields.yaml`` and its labels, as strict models from which the published JSON Schemas are made.

Only data: which fields there are, where the law asks for them, which facts answer them and who may see them. The words that a
reader sees stand in ``labels.<language>.yaml``, so that a lawyer or a translator edits them without Python.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loopwright.policy import Section as Closed

__all__ = [
    "AUDIENCES",
    "SHOWN",
    "Declaration",
    "FieldLabel",
    "FieldSpec",
    "Labels",
    "NotApplicable",
    "SectionSpec",
    "Theme",
    "View",
]

Audience = Literal["ai-office", "national-authority", "downstream", "public", "internal"]
Owner = Literal["compliance", "legal", "engineering", "safety", "data", "management"]
Show = Literal[
    "text", "list", "count", "number", "share", "score", "digest", "time", "duration", "bytes", "flop", "energy", "table",
    "counts", "probability", "yesno",
]  # fmt: skip
AUDIENCES: tuple[str, ...] = Audience.__args__  # type: ignore[attr-defined]
SHOWN: tuple[str, ...] = Show.__args__  # type: ignore[attr-defined]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]
FieldId = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]*$", max_length=60)]
FactPath = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1, max_length=4000)]


class LawRef(Closed):
    """Where the law asks for something."""

    act: Name
    """A key of ``acts`` in ``reports/law.yaml``."""
    ref: str = ""
    """Article, annex, measure: as the act counts them."""


class NotApplicable(Closed):
    """When a field does not apply, by the record itself."""

    when: FactPath
    """A fact that is true where the field does not apply."""
    reason: Name
    """A key of the labels' ``na``."""


class View(Closed):
    """What some audiences get of a field instead, where the law gives them a coarser figure."""

    audience: tuple[Audience, ...]
    query: tuple[FactPath, ...]
    show: Show | None = None
    digits: Annotated[int, Field(ge=0, le=12)] | None = None


class FieldSpec(Closed):
    """One field of a document."""

    id: FieldId
    """Stable, printed beside the answer; never used again for something else."""
    ref: str = ""
    """Where the law asks for it; empty where no law does."""
    source: Literal["auto", "auto+human", "human"]
    """``auto``: the record answers. ``auto+human``: the record fills it in, a person confirms or adds. ``human``: only a person can."""
    query: tuple[FactPath, ...] = ()
    """Facts: the first is the value, the others are shown beneath it."""
    show: Show | None = None
    """How the first fact is printed; by default as the catalogue says."""
    digits: Annotated[int, Field(ge=0, le=12)] | None = None
    """Decimals (of a flop: digits after the point of the mantissa)."""
    unit: str | None = None
    """By default the fact's own."""
    audience: tuple[Audience, ...] | None = None
    """Who may see it; all of the document's by default. Always with ``internal``."""
    views: tuple[View, ...] = ()
    na: tuple[NotApplicable, ...] = ()
    owner: Owner | None = None
    due: Name | None = None

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.source == "auto" and not self.query:
            raise ValueError(f"{self.id}: an auto field needs a query")
        return self

    def seen_by(self, audience: str) -> Self:
        """The field with the one view that this audience gets, if it gets one of its own."""
        return self.model_copy(update={"views": tuple(one for one in self.views if audience in one.audience)[:1]})

    @property
    def shown(self) -> View:
        """What is printed, of a field as `seen_by` gives it; a person confirms ``query`` all the same."""
        return self.views[0] if self.views else View(audience=(), query=self.query, show=self.show, digits=self.digits)


class SectionSpec(Closed):
    """A heading with its fields, in the order of the law."""

    id: Name
    ref: str = ""
    part: Name | None = None
    """A key of the labels' ``parts``: the heading above this one, printed before the first of its sections."""
    fields: tuple[FieldSpec, ...]


class Declaration(Closed):
    """``fields.yaml``."""

    schema_: Literal[2] = Field(alias="schema")
    document: Name
    """The folder's name."""
    law: LawRef
    scope: Literal["cycle", "loop", "incident"]
    """What it is about: a ``cycle`` document takes ``--cycle``, an ``incident`` one ``--about``."""
    incident: Literal["gpai", "art73"] | None = None
    """The kind of incidents that its facts are of, the newest where none is named; every kind by default."""
    audiences: tuple[Audience, ...]
    """Who gets it; ``internal`` is the last."""
    owner: Owner
    """Who owes an unanswered field, unless the field says otherwise."""
    due: Name
    """A key of ``due`` in ``reports/law.yaml``, unless the field says otherwise."""
    sections: tuple[SectionSpec, ...]

    @property
    def fields(self) -> tuple[FieldSpec, ...]:
        """All of them, in order."""
        return tuple(field for section in self.sections for field in section.fields)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.audiences[-1:] != ("internal",) or len(set(self.audiences)) != len(self.audiences):
            raise ValueError("audiences: each once, `internal` the last")
        for what, names in (("section", [one.id for one in self.sections]), ("field", [one.id for one in self.fields])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} given twice: {', '.join(twice)}")
        for field in self.fields:
            seen = set(field.audience or self.audiences)
            if not seen <= set(self.audiences) or "internal" not in seen:
                raise ValueError(f"{field.id}: audience must be among the document's, with `internal`")
        return self


class FieldLabel(Closed):
    """The words of one field."""

    label: Text
    help: Text
    """One sentence for whoever must answer it."""


class Labels(Closed):
    """``labels.<language>.yaml`` of a document."""

    title: Text
    purpose: Text
    limits: Text
    applies: Text
    """To whom and from when; no conclusion."""
    parts: dict[Name, Text] = Field(default_factory=dict)
    sections: dict[Name, Text]
    fields: dict[FieldId, FieldLabel]
    na: dict[Name, Text] = Field(default_factory=dict)
    text: dict[str, Text] = Field(default_factory=dict)
    """Words of the document's own template, where it has one."""


class Theme(Closed):
    """``theme/labels.<language>.yaml``: the words that all documents share."""

    locale: Text
    """Of the CLDR, for numbers and dates: ``en_GB``."""
    words: dict[str, Text]
    states: dict[str, Text]
    audiences: dict[Audience, Text]
    owners: dict[Owner, Text]
    scopes: dict[str, Text]
    columns: dict[str, Text] = Field(default_factory=dict)
    """Heads of columns and words of cells that the catalogue of facts has none for in this language."""
    references: dict[Text, Text] = Field(default_factory=dict)
    """Words of a provision as this language cites it: ``Annex: Anhang``."""
    facts: dict[FactPath, Text] = Field(default_factory=dict)
    """Labels of facts, likewise."""
    law: dict[Text, Text] = Field(default_factory=dict)
    """Titles, versions and due dates of ``law.yaml`` by their English, for a language that it does not have."""
