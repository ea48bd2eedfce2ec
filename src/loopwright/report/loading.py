"""One document's files, read and held against each other: every field has its words, every name that is used exists."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import UsageError
from loopwright.report.declaration import Declaration, Labels, Theme
from loopwright.report.facts.registry import names
from loopwright.report.format import printable
from loopwright.report.law import Law
from loopwright.report.parse import parse_strict
from loopwright.report.sources import LAW, THEME, Sources, find_sources
from loopwright.report.vocabulary import Vocabulary

__all__ = ["Loaded", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A document that can be built."""

    sources: Sources
    declaration: Declaration
    law: Law

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.sources.document

    def labels(self, language: str) -> Labels:
        """Its words; UsageError where there are none in this language, or one is missing."""
        where = f"{self.name}/labels.{language}.yaml"
        if language not in self.sources.languages:
            known = ", ".join(self.sources.languages)
            raise UsageError(f"{self.name} has no words in {language!r}", f"one of: {known}; or add reports/{where}")
        text = self.sources.read(where)
        labels = parse_strict(Labels, text, f"reports/{where}")
        _agree(f"reports/{where}", "sections", [one.id for one in self.declaration.sections], labels.sections)
        _agree(f"reports/{where}", "fields", [one.id for one in self.declaration.fields], labels.fields)
        used = [rule.reason for field in self.declaration.fields for rule in field.na]
        _agree(f"reports/{where}", "na", used, labels.na)
        _drawable(f"reports/{where}", text.decode())
        return labels

    def words(self, language: str) -> Vocabulary:
        """The words that all documents share."""
        where = f"{THEME}/labels.{language}.yaml"
        text = self.sources.read(where)
        theme = parse_strict(Theme, text, f"reports/{where}")
        for english in theme.law:
            if english not in self.law.printed:
                raise _wrong(text.decode(), where, english, f"law: reports/{LAW} has no text {english!r}", self.law.printed)
        return Vocabulary(language, theme)


def load(root: Path, document: str) -> Loaded:
    """Read a document of the workspace at ``root``.

    Raises:
        UsageError: no such document, or a file of it is wrong: file, line, key and what to do.
    """
    sources = find_sources(root, document)
    where = f"{document}/fields.yaml"
    data = sources.read(where)
    declaration = parse_strict(Declaration, data, f"reports/{where}")
    law = parse_strict(Law, sources.read(LAW), f"reports/{LAW}")
    text = data.decode()
    if declaration.document != document:
        raise _wrong(text, where, declaration.document, f"document must be the folder's name, {document}", [document])
    for act in {declaration.law.act} - set(law.acts):
        raise _wrong(text, where, act, f"law.act {act} is not in reports/{LAW}", law.acts)
    for rule in sorted({declaration.due, *(one.due for one in declaration.fields if one.due)} - set(law.due)):
        raise _wrong(text, where, rule, f"due {rule} is not in reports/{LAW}", law.due)
    asked = [path for one in declaration.fields for path in (*one.query, *(rule.when for rule in one.na))]
    for path in asked:
        if path not in names():
            raise _wrong(text, where, path, f"the catalogue has no fact {path} (docs/report-facts.md)", names())
    return Loaded(sources=sources, declaration=declaration, law=law)


def _wrong(text: str, where: str, value: str, message: str, known: Iterable[str]) -> UsageError:
    line = next((number for number, one in enumerate(text.splitlines(), 1) if value in one), 1)
    near = difflib.get_close_matches(value, list(known), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return UsageError(f"reports/{where}:{line}: {message}{hint}", "mend the line")


def _agree(where: str, part: str, wanted: Iterable[str], there: Iterable[str]) -> None:
    wanted, there = dict.fromkeys(wanted), set(there)
    missing, idle = [one for one in wanted if one not in there], sorted(there - set(wanted))
    if missing:
        raise UsageError(f"{where}: {part}: no words for {', '.join(missing)}", "add them")
    if idle and part != "na":
        raise UsageError(f"{where}: {part}: words for {', '.join(idle)}, which fields.yaml does not have", "remove them")


def _drawable(where: str, text: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if (shown := printable(line)) != line:
            at = shown.index("[U+")
            raise UsageError(
                f"{where}:{number}: the bundled fonts cannot draw {shown[at : shown.index(']', at) + 1]}",
                "use another character; other scripts need their font in reports/theme/fonts and theme.css",
            )
