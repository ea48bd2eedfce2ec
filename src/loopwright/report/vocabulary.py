"""The words of one language: those that all documents share, and those of the facts.

Words of facts come from the catalogue's table; a language that it does not have brings its own in ``theme/labels.<language>.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loopwright.errors import UsageError
from loopwright.report.declaration import Theme
from loopwright.report.facts.phrases import phrase, phrases
from loopwright.report.facts.registry import names

__all__ = ["Vocabulary"]

WORDED = frozenset({
    "aid", "allows", "amount", "bad", "changed", "check", "class", "decision", "effect", "event", "fact", "figure", "from", "harm", "judge", "kind",
    "length_unit", "makes",
    "method", "metric", "name", "origin", "origin_class", "outcome", "phase", "question", "quorum", "reads", "reason",
    "relation", "report", "rule", "source", "split", "stage", "standing", "standing_with", "state", "suite", "test", "trigger", "unit", "use", "verdict",
    "what",
})  # fmt: skip
"""Columns whose cells are words of ours. Prompts, answers, groups, settings and values are data."""
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

    def of(self, words: Mapping[str, str]) -> str:
        """This language of a text that has several, or its English."""
        return words.get(self.language) or words["en"]

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
        return self.theme.columns.get(key) or phrase(key, self.language) or key.replace("_", " ").capitalize()

    def term(self, text: str) -> str:
        """A word of ours that stands in a table (a decision, a phase, a state); any other text as it is."""
        known = phrases().get(text)
        return (known.get(self.language) or text) if known else text

    def told(self, column: str, cell: Any) -> Any:
        """A cell in the reader's words, where its column holds words of ours; what models, persons and domains wrote stays as it is."""
        if column not in WORDED or not isinstance(cell, (str, list)):
            return cell
        if isinstance(cell, list):
            return [self.told(column, one) for one in cell]
        return ", ".join(self._in(column, part) or phrase(part, self.language) or part for part in cell.split(", "))

    def _in(self, column: str, word: str) -> str | None:
        """Where a word means something of its own in a column, as `kept.outcome` in the table of phrases."""
        return phrases().get(f"{word}.{column}", {}).get(self.language)

    def entry(self, what: str) -> str:
        """What a line of the evidence index is: ``phase train c0003`` in the reader's words. Names of files and fields stay."""
        kind, *rest = what.split(" ")
        return " ".join([self._in("entry", kind) or kind, *map(self.term, rest)])

    def recorded(self, path: str, value: Any) -> Any:
        """A recorded text that is a word of ours, in the reader's; what persons answered stays as it is."""
        ours = isinstance(value, str) and path.partition(".")[0] not in ANSWERED
        return (phrase(value, self.language) if ours else None) or value

    def unit(self, unit: str) -> str:
        """A unit; those that are words (rows, tokens) in this language."""
        return self.theme.columns.get(f"unit.{unit}", unit)

    def method(self, key: str) -> str:
        """How a value was obtained."""
        return self.theme.columns.get(f"method.{key}") or phrase(key, self.language) or key
