"""The names that documents may query: what each is, how it is shown, its unit and its labels, read from `names.txt`.

The table is data, so that labels can be mended without Python; the code beside it binds one function to each name. The
page `docs/report-facts.md` is made of it: ``python -m loopwright.report.facts > docs/report-facts.md``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["LANGUAGES", "SHOWN", "Area", "Name", "areas", "names", "page"]

LANGUAGES = ("en", "de")

SHOWN = frozenset(
    [
        "text",
        "list",
        "count",
        "number",
        "share",
        "score",
        "digest",
        "time",
        "duration",
        "bytes",
        "flop",
        "energy",
        "table",
        "counts",
        "probability",
        "yesno",
    ]
)
"""How a value may be shown. ``score`` is a mapping with value, low, high, n and method; ``counts`` one of names to numbers;
``table`` has ``columns`` (keys of `words.txt`) and ``rows``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """One line of the table."""

    path: str
    """``area.name``."""
    show: str
    unit: str
    labels: Mapping[str, str]
    """By language."""
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A heading of the table."""

    id: str
    what: str
    names: tuple[Name, ...]


@functools.cache
def areas() -> tuple[Area, ...]:
    """All areas with their names, in the order of the table."""
    parts = files("loopwright.report.facts").joinpath("names.txt").read_text("utf-8").split("\n[")[1:]
    return tuple(_area(*part.split("\n", 1)) for part in parts)


@functools.cache
def names() -> Mapping[str, Name]:
    """Every name by its path."""
    return {one.path: one for area in areas() for one in area.names}


def _area(head: str, body: str) -> Area:
    name, _, what = head.partition("] ")
    lines = (line for line in body.splitlines() if line)
    return Area(id=name, what=what, names=tuple(_name(name, line) for line in lines))


def _name(area: str, line: str) -> Name:
    name, show, unit, english, german, what = (part.strip() for part in line.split("|"))
    return Name(path=f"{area}.{name}", show=show, unit=unit, labels={"en": english, "de": german}, what=what)


def page() -> str:
    """`docs/report-facts.md`."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Facts that documents may query\n"
    yield (
        "Made by `python -m loopwright.report.facts` from the catalogue's table; a test holds both together. A field of\n"
        "`reports/<document>/fields.yaml` names them in `query`. None of them is a legal conclusion, and each says the entries of the\n"
        "log and the digests that it was read from. Where the record has nothing, a fact has no value."
    )
    for area in areas():
        yield f"\n## {area.id}\n\n{area.what}.\n"
        yield "| name | shown as | unit | label | Bezeichnung | what it is |\n|---|---|---|---|---|---|"
        for one in area.names:
            cells = (f"`{one.path}`", one.show, one.unit, one.labels["en"], one.labels["de"], one.what)
            yield f"| {' | '.join(cells)} |"
