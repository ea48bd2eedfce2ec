"""The words of one language: those that all documents share, and those of the facts.

Words of facts come from the catalogue's table; a language that it does not have brings its own in ``theme/labels.<language>.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from babel.numbers import format_decimal, get_decimal_symbol

from loopwright.errors import UsageError
from loopwright.report.declaration import Theme
from loopwright.report.facts.phrases import PLACE, patterns, phrase, phrases
from loopwright.report.facts.registry import names

__all__ = ["Vocabulary"]

WORDED = frozenset({
    "action", "aid", "allows", "amount", "bad", "changed", "check", "checker", "class", "custody", "decision", "duties", "effect", "energy_how", "event", "fact",
    "figure", "from", "harm", "how", "judge", "kind", "length_unit", "maker", "makes", "method", "metric", "name", "origin", "origin_class", "outcome", "phase",
    "question", "quorum", "reads", "reason", "relation", "report", "rights", "role", "rule", "slice", "source", "split", "stage", "standing",
    "standing_with", "state", "suite", "test", "trigger", "unit", "use", "utilisation_reading", "verdict", "what",
})  # fmt: skip
"""Columns whose cells are words of ours. Prompts, answers, groups, settings and values are data."""
SENSES = {
    "entry": ("entry",), "event": ("entry",), "kind": ("entry", "role"), "rights": ("entry",), "role": ("role",), "duties": ("role",), "action": ("role",),
    "what": ("role",), "": ("entry", "role"),
}  # fmt: skip
"""What a word means in a column beside what it means anywhere: a kind of entry, a part that somebody has."""
REFERENCES = frozenset({"ref", "reference", "requirement"})
"""Columns that name provisions."""
_APART = re.compile(r", (?![^(]*\))")
_DECIMAL, _LARGE = re.compile(r"[+-]?\d+\.\d+"), re.compile(r"\d{5,15}")
OURS = 1000
"""Characters: no word or sentence of ours is longer, and nothing is looked for in a text that is."""
ANSWERED = frozenset({"org", "system", "release", "policy", "crawl", "access", "risk"})
"""Areas of facts that persons fill."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words in one language."""

    language: str
    theme: Theme

    def say(self, key: str, **values: Any) -> str:
        """A phrase; ``{name}`` in it is filled in."""
        if key not in self.theme.words:
            raise UsageError(f"reports/theme/labels.{self.language}.yaml: words.{key} is missing", "add it; see labels.en.yaml")
        return self.theme.words[key].format_map(values) if values else self.theme.words[key]

    def of(self, words: str | Mapping[str, str]) -> str:
        """This language of a text that has several, its own labels' words for it, or its English."""
        if not isinstance(words, str) and self.language in words:
            return words[self.language]
        english = words if isinstance(words, str) else words["en"]
        return self.theme.law.get(english, english)

    def fact(self, path: str) -> str:
        """Label of a fact."""
        known = names().get(path)
        return self.theme.facts.get(path) or (self.of(known.labels) if known else path)

    def shown(self, path: str) -> str:
        """How the catalogue says that it is shown."""
        known = names().get(path)
        return known.show if known else "text"

    def column(self, key: str) -> str:
        """Head of a table's column."""
        return self._word(key) or key.replace("_", " ").capitalize()

    def term(self, text: str) -> str:
        """A word of ours that stands in a table (a decision, a phase, a state); any other text as it is."""
        return (self._word(text) or text) if text in phrases() else text

    def key(self, text: str) -> str:
        """What a number in a list of several is of."""
        return self._in("said", text) or text

    def told(self, column: str, cell: Any) -> Any:
        """A cell in the reader's words, where its column holds words of ours; what models, persons and domains wrote stays as it is."""
        if column in REFERENCES and isinstance(cell, str) and len(cell) <= OURS:
            return self.reference(cell)
        if cell == "none" and column in {"before", "after"}:
            return None
        if column not in WORDED or not isinstance(cell, (str, list)) or (isinstance(cell, str) and len(cell) > OURS):
            return cell
        if isinstance(cell, list):
            return [self.told(column, one) for one in cell]
        if known := self._in(column, cell):
            return _begun(known)
        parts = _APART.split(cell)
        first, *others = (self._in(column, part) for part in parts)
        head = _begun(first) if first else parts[0]
        return ", ".join([head, *(told or part for told, part in zip(others, parts[1:], strict=True))])

    def _in(self, column: str, text: str) -> str | None:
        """A text of ours in this language; what it means in this column, as `kept.outcome` in the table of phrases, comes first."""
        keys = [f"{text}.{sense}" for sense in (column, *SENSES.get(column, ()))]
        own = next((self._word(key) for key in keys if key in phrases() or key in self.theme.columns), None)
        return own or self._word(text) or self._sentence(text)

    def _word(self, key: str) -> str | None:
        """Of the catalogue's table, or of this language's own labels."""
        return self.theme.columns.get(key) or phrase(key, self.language)

    def _sentence(self, text: str) -> str | None:
        """A text made of a pattern of ours: each ``*`` in it keeps its place, as a word or number of this language."""
        for key, pattern in patterns():
            if found := pattern.fullmatch(text):
                words = self._word(key)
                pairs = zip_longest(PLACE.split(words), map(self._filled, found.groups()), fillvalue="") if words else ()
                return "".join(part for pair in pairs for part in pair) or None
        return None

    def _filled(self, text: str) -> str:
        if _DECIMAL.fullmatch(text):
            return text.replace(".", get_decimal_symbol(self.theme.locale)).replace("-", "\u2212")
        if _LARGE.fullmatch(text):
            return format_decimal(int(text), locale=self.theme.locale).replace("\u202f", "\u00a0")
        return self._in("", text) or self._word(text.replace(" ", "_")) or text

    def entry(self, what: str) -> str:
        """What a line of the evidence index is: ``phase train c0003`` in the reader's words, and an answer by its field's label."""
        kind, *rest = what.split(" ")
        if kind.endswith(",") and rest:
            return f"{self.fact(kind[:-1])}, {self.theme.scopes.get(rest[0], rest[0])}"
        if rest and (both := self._word(f"{kind} {rest[0]}.entry")):
            return " ".join([both, *rest[1:]])
        return " ".join([self._in("entry", kind) or kind, *map(self.term, rest)])

    def recorded(self, path: str, value: Any) -> Any:
        """A recorded text that is a word of ours, in the reader's; what persons answered stays as it is."""
        area, _, name = path.partition(".")
        ours = isinstance(value, str) and len(value) <= OURS and area not in ANSWERED and name != "name"
        return (self._in("entry" if area == "log" else "said", value) if ours else None) or value

    def reference(self, text: str) -> str:
        """A provision as this language cites it: ``Anhang`` for ``Annex``. The form in ``fields.yaml`` is the stable one."""
        words = self.theme.references
        if not words:
            return text
        longest = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
        return re.sub(rf"(?<![A-Za-z])(?:{longest})(?![a-z])", lambda found: words[found[0]], text)

    def unit(self, unit: str) -> str:
        """A unit; those that are words (rows, tokens) in this language."""
        return self.theme.columns.get(f"unit.{unit}", unit)

    def method(self, key: str) -> str:
        """How a value was obtained."""
        return self.theme.columns.get(f"method.{key}") or phrase(key, self.language) or key


def _begun(text: str) -> str:
    """As a cell begins: with a capital, unless its first word is a letter by itself (Student's t)."""
    return text if text[1:2] == " " else text[:1].upper() + text[1:]
