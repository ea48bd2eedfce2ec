"""A document as HTML in its language, and the long tables that travel beside it as CSV. What is not in the document can't be in the page."""

from __future__ import annotations

import csv
import io
import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from babel import Locale
from jinja2 import Template, TemplateError
from markupsafe import Markup

from loopwright.errors import UsageError
from loopwright.report.charts import FILE as CHARTS
from loopwright.report.charts import Chart, draw, read_charts
from loopwright.report.document import Claim, Document, Due, Evidence, FactShown
from loopwright.report.format import DIGEST, Writer
from loopwright.report.pdf import DataFile
from loopwright.report.record import NONE
from loopwright.report.sources import Sources
from loopwright.report.vocabulary import Vocabulary
from loopwright.store.tables import no_formula

__all__ = ["Page", "as_csv", "render"]

ROWS = 24
"""Of a table in the body; the rest is in the attached file."""
ITEMS = 40
CHARACTERS = 4000
"""Of one text in the body."""
COLUMNS = 7
"""Beyond these a table is set as a list, a record a paragraph: columns would be too narrow to read."""
BRIEF, LINE = 5, 80
"""Rows of a table that is kept together, and characters of a cell that may stand in it."""
EVIDENCE = 120
"""Rows of the index in the body."""
_MARKS = {"entry": "a", "artifact": "b", "answer": "c"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is typeset."""

    html: str
    files: tuple[DataFile, ...]
    """Attached tables."""
    pictures: Mapping[str, bytes]
    """Figures by the path that the HTML names."""


@dataclass(slots=True)
class _Tables:
    """Cuts long values, and keeps what was cut off as CSV files."""

    words: Vocabulary
    charts: Mapping[str, Chart]
    writer: Writer
    files: dict[str, DataFile] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)

    def figure(self, claim: Claim, fact: FactShown) -> dict[str, str] | None:
        """Where the figure of a table is, and its words; None where it has none."""
        chart = self.charts.get(fact.path)
        drawn = draw(fact, chart, self.writer, self.words.told) if chart else None
        if drawn is None:
            return None
        path = f"figures/{claim.id}-{fact.path}.svg"
        self.pictures[path], words = drawn
        return {"path": path, "words": words}

    def rows(self, claim: Claim, fact: FactShown) -> dict[str, Any]:
        """The rows that are shown, how, and the file that has all of them."""
        every = fact.value["rows"]
        shown = every[:ROWS] if len(every) > ROWS + 2 else every  # no table is cut for the sake of two rows
        name = self._keep(claim, fact) if len(shown) < len(every) else ""
        keys, heads = fact.value["columns"], fact.value["heads"]
        columns = [_even(column) if "setting" not in keys else column for column in zip(*shown, strict=True)]
        said = [place for place, column in enumerate(columns) if any(cell is not None for cell in column)]
        silent = [head for place, head in enumerate(heads) if shown and place not in said]
        columns = [columns[place] for place in said]
        keys, heads = [keys[place] for place in said] or keys, [heads[place] for place in said] or heads
        rows = list(zip(*columns, strict=True))
        return {
            "fields": keys, "heads": heads, "rows": rows, "of": len(every), "file": name, "numeric": [_numeric(column) for column in columns],
            "stacked": _wide(keys, rows), "brief": _brief(rows), "silent": ", ".join(silent),
            "records": [[told for told in zip(heads, keys, row, strict=True) if told[2] is not None] for row in rows],
        }  # fmt: skip

    def _keep(self, claim: Claim, fact: FactShown) -> str:
        name = f"{claim.id}-{fact.path}.csv"
        self.files[name] = DataFile(name=name, data=as_csv(fact.value["heads"], fact.value["rows"]), description=fact.label)
        return name

    def evidence(self, document: Document) -> dict[str, Any]:
        """The index, and the file that has all of it where it is long."""
        rows = document.evidence
        if len(rows) <= EVIDENCE + 2:
            return {"rows": rows, "more": 0, "file": ""}
        heads = ("id", "kind", "what", "sha256", "where", "leaf", "check")
        told = [[getattr(row, head) for head in heads] for row in rows]
        name = "evidence.csv"
        self.files[name] = DataFile(name=name, data=as_csv(heads, told), description=self.words.say("evidence_title"))
        return {"rows": rows[:EVIDENCE], "more": len(rows) - EVIDENCE, "file": name}


def render(
    document: Document, words: Vocabulary, sources: Sources, attached: str, command: str, text: Mapping[str, str]
) -> Page:
    """HTML of a document.

    Args:
        document: what it says.
        words: of its language.
        sources: its own template, else the theme's.
        attached: name of the data file that travels inside the PDF.
        command: that builds it again.
        text: words of its own template.
    """
    own = f"{document.document}/template.html.j2"
    template = sources.compiled(own if own in sources.files else "theme/document.html.j2")
    writer = Writer(Locale.parse(words.theme.locale), words.theme.words, words.key)
    tables = _Tables(words, read_charts(sources.read(CHARTS)), writer)
    html = _filled(
        template,
        doc=document,
        w=writer,
        cell_of=partial(_cell, writer, words),
        interval_by=lambda method: words.told("method", method),
        recorded=lambda path, value: _recorded(writer, words, path, value),
        cite=words.reference,
        say=words.say,
        text=text,
        states=words.theme.states,
        audiences=words.theme.audiences,
        owners=words.theme.owners,
        about=_about(document, words),
        open=[claim for claim in document.claims if claim.due is not None],
        due=partial(_due, writer),
        cut_text=partial(_cut, document),
        cut_rows=tables.rows,
        figure=tables.figure,
        evidence=tables.evidence(document),
        ranges=_ranges,
        place=_place,
        limit=ITEMS,
        marks=_MARKS,
        unit=words.unit,
        terms=words.entry,
        claims={claim.id: claim for claim in document.claims},
        attached=attached,
        command=command,
    )
    return Page(html=html, files=tuple(tables.files[name] for name in sorted(tables.files)), pictures=tables.pictures)


def _filled(template: Template, **values: Any) -> str:
    try:
        return template.render(**values)
    except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename.endswith(".j2")]
        line = frames[-1].lineno if frames else 1
        where = f"reports/{frames[-1].filename if frames else template.name}:{line}"
        raise UsageError(f"{where}: {error}", "compare it with reports/theme/document.html.j2") from error


def _about(document: Document, words: Vocabulary) -> str:
    about = document.about
    return words.say(
        "about_none" if about.id == NONE else f"about_{about.scope}", cycle=about.cycle, loop=about.loop, id=about.id
    )


def _due(writer: Writer, due: Due) -> str:
    return f"{due.label} ({writer.day(due.date)})" if due.date else due.label


def _cut(_: Document, text: str) -> dict[str, Any]:
    """The beginning of a long text; ``length`` of the whole where it was cut."""
    if len(text) <= CHARACTERS:
        return {"text": text, "length": 0}
    return {"text": text[:CHARACTERS], "length": len(text)}


def _place(row: Evidence) -> str:
    """Where a row's bytes lie; a file that is named after its digest does not say it twice."""
    return row.where.replace(row.sha256.removeprefix("sha256:"), "[sha256]")


def _ranges(ids: Sequence[str]) -> str:
    """``E3-E9, E12``: runs of ids in one word."""
    runs: list[list[int]] = []
    for number in sorted({int(one[1:]) for one in ids}):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"E{low}" if low == high else f"E{low}\u2013E{high}" for low, high in runs)


NAMES = frozenset({"setting", "package", "path", "command", "key", "signer", "proposer", "approver"})
"""Columns whose texts are names that a machine reads: set as code."""
FORMULAE = frozenset({"method", "allowed", "inputs", "limit"})


def _cell(writer: Writer, words: Vocabulary, column: str, cell: Any) -> Any:
    """A cell as it is printed, by what its column holds."""
    told = words.told(column, cell)
    if column in FORMULAE and isinstance(told, str) and len(told) <= LINE:
        return writer.cell(writer.signs(told))
    shown = writer.cell(told)
    named = column in NAMES and isinstance(told, str) and told and not DIGEST.fullmatch(told)
    return Markup("<code>{}</code>").format(shown) if named else shown


def _recorded(writer: Writer, words: Vocabulary, path: str, value: Any) -> Any:
    """A fact's text in the reader's words; what a person said stays as it is."""
    told = words.recorded(path, value)
    return writer.signs(told) if isinstance(told, str) and path.startswith("compute.") else told


def _numeric(column: Sequence[Any]) -> bool:
    """All numbers, or nothing."""
    there = [value for value in column if value is not None]
    return bool(there) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in there)


def _even(column: Sequence[Any]) -> Sequence[Any]:
    """Shares of one column all with their decimals: the 1 beside 0.5 is 1.000."""
    numbers = [value for value in column if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if not any(isinstance(value, float) and value % 1 for value in numbers) or any(
        abs(value) > 1 for value in numbers if value % 1 == 0
    ):
        return column
    return [float(value) if value in (0, 1, -1) and not isinstance(value, bool) else value for value in column]


def _brief(rows: Sequence[Sequence[Any]]) -> bool:
    """A few short lines, which no page end takes apart."""
    return len(rows) <= BRIEF and not any(
        isinstance(cell, str) and ("\n" in cell or len(cell) > LINE) for row in rows for cell in row
    )


def _wide(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bool:
    digests = sum(
        any(isinstance(cell, str) and DIGEST.fullmatch(cell) for cell in column) for column in zip(*rows, strict=True)
    )
    return len(columns) + 2 * digests > COLUMNS + 1


def as_csv(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """A table as a file: UTF-8, a line a row. What a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(heads)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def _harmless(cell: Any) -> Any:
    if isinstance(cell, str):
        return no_formula(cell)
    return cell if cell is None or isinstance(cell, (int, float)) else json.dumps(cell, ensure_ascii=False, sort_keys=True)
