"""``reports/law.yaml``: acts and their versions, dates of application, retention, clocks and due dates, as data.

Nothing here concludes anything: a date is computed where the fact that it counts from is known, and said in words where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from loopwright.errors import UsageError
from loopwright.policy import Section as Closed
from loopwright.report.declaration import FactPath, Name, Text
from loopwright.report.parse import parse_strict
from loopwright.report.sources import places

__all__ = ["Act", "Application", "Clock", "Due", "Law", "Retention", "due_date", "law_of", "read_law"]

Words = dict[str, Text]
"""By language; English is always there."""
Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
Number = Annotated[int, Field(ge=0)]
FieldRow = Annotated[str, Field(pattern=r"^[A-Z]+[A-Z0-9]*(-[A-Za-z0-9]+)+$")]
Confidence = Literal["high", "high (secondary x3)", "medium", "low", "open"]


class Act(Closed):
    """A law, a code, a template or a standard, in the version that the documents were written after."""

    title: Words
    cite: Text | Words
    """How it is cited: number, or version and date of a template."""
    version: Text | Words
    verified: Literal["official-journal", "copy", "secondary", "draft", "not-read"]
    """What was read of it; whatever is not ``official-journal`` is printed as not verified against the Official Journal."""
    note: Words = Field(default_factory=dict)


class Application(Closed):
    """From when something applies."""

    id: Name
    date: Day | None
    """None where it is unclear."""
    act: Name
    ref: str = ""
    what: Words
    confidence: Confidence


class Span(Closed):
    """How long."""

    hours: Number = 0
    days: Number = 0
    business_days: Number = 0
    weeks: Number = 0
    months: Number = 0
    years: Number = 0


class Retention(Closed):
    """How long something must be kept."""

    id: FieldRow
    act: Name
    ref: Text
    what: Words
    keep: Span
    least: bool = False
    """At least so long."""
    since: FactPath | None = Field(default=None, alias="from")
    source: Literal["auto", "auto+human", "human"]


class Clock(Span):
    """A deadline that something starts. Of an incident's see ``loopwright.report.clocks``."""

    id: Name
    field: FieldRow
    """Row of the regulation's table of clocks."""
    act: Name
    ref: Text
    label: Words
    source: Literal["auto", "auto+human", "human"] = "auto"
    incident: Literal["gpai", "art73"] | None = None
    harm: tuple[Name, ...] = ()
    """Only for these classes of harm."""
    under: Name | None = None
    """Only where the provider is under this act."""
    when: str | None = None
    """Only where this is true."""
    report: Literal["initial", "intermediate", "final"] | None = None
    start: str = Field(alias="from")
    until: str | None = None
    before: bool = False
    """It ends so long before what it counts from."""
    every: bool = False
    """It begins again after each time."""
    immediately: bool = False


class Due(Closed):
    """A named rule of ``fields.yaml``'s ``due``."""

    label: Words
    act: Name | None = None
    ref: str = ""
    date: Day | None = None
    start: FactPath | None = Field(default=None, alias="from")
    days: int = 0
    """After (below 0: before) what it counts from."""


class Law(Closed):
    """``reports/law.yaml``."""

    schema_: Literal[1] = Field(alias="schema")
    state: Day
    """Date of the state of law that these rows tell."""
    acts: dict[Name, Act]
    application: tuple[Application, ...]
    retention: tuple[Retention, ...]
    clocks: tuple[Clock, ...]
    due: dict[Name, Due]

    @property
    def printed(self) -> frozenset[str]:
        """The English of every text that documents print, by which a language that is not in the file brings its own."""
        texts = [text for act in self.acts.values() for text in (act.title, act.cite, act.version, act.note)]
        texts += [rule.label for rule in self.due.values()]
        return frozenset(text if isinstance(text, str) else text["en"] for text in texts if text)

    @model_validator(mode="after")
    def _known(self) -> Self:
        rows = (*self.application, *self.retention, *self.clocks, *(one for one in self.due.values() if one.act))
        unknown = sorted({str(row.act) for row in rows} - set(self.acts))
        if unknown:
            raise ValueError(f"acts that `acts` does not have: {', '.join(unknown)}")
        return self


def law_of(root: Path) -> Law:
    """The workspace's file, else the program's own; UsageError says file, line and key of what is wrong in it."""
    path = next((base / "law.yaml" for base in places(root) if (base / "law.yaml").is_file()), None)
    if path is None:
        raise UsageError("reports/law.yaml is missing", "put it back, or remove reports/ of the workspace")
    return parse_strict(Law, path.read_bytes(), "reports/law.yaml")


def read_law(root: Path) -> Mapping[str, Any]:
    """The same as plain values, keys as in the file."""
    return law_of(root).model_dump(mode="json", by_alias=True, exclude_none=True)


def due_date(rule: Due, start: Any) -> str | None:
    """The day, by ISO 8601; None where what it counts from is not known."""
    if rule.date is not None:
        return rule.date
    try:
        begin = date.fromisoformat(str(start)[:10])
    except ValueError:
        return None
    return (begin + timedelta(days=rule.days)).isoformat()
