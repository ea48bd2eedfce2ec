"""What the pages say, in the reader's language: labels from ``words/<page>.yaml``, numbers, dates and spans of time by Babel.

A file has one entry a key with a sentence in each language (``title: {en: Overview, de: Überblick}``); ``common.yaml`` holds what several
pages say. Values are put in by ``{name}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from babel import Locale, dates, numbers

__all__ = ["LANGUAGES", "NOTHING", "Words", "language_of"]

LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}
_FOLDER = Path(__file__).resolve().parent / "words"
_LOCALES = {"en": "en_GB", "de": "de_DE"}
NOTHING = "\N{EN DASH}"
"""Stands where there is no value."""


@cache
def _file(name: str) -> Mapping[str, Mapping[str, str]]:
    path = _FOLDER / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}


def language_of(wanted: str | None, browser: str | None) -> str:
    """The language to speak: what is asked for, else the browser's, else English."""
    for told in (wanted, browser):
        if told and told[:2].lower() in LANGUAGES:
            return told[:2].lower()
    return "en"


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one page in one language; also how it writes numbers."""

    page: str
    language: str

    def __call__(self, key: str, **values: Any) -> str:
        """The sentence of this key; KeyError where neither the page nor ``common`` has it."""
        told = _file(self.page).get(key) or _file("common")[key]
        return told[self.language].format(**values) if values else told[self.language]

    def of(self, page: str) -> Words:
        """The words of another page."""
        return Words(page, self.language)

    def named(self, group: str, word: Any) -> str:
        """``group.word`` where there is such an entry, else the word itself: one that a later version brings is shown as it is."""
        key = f"{group}.{word}"
        return self(key) if key in _file(self.page) or key in _file("common") else str(word)

    @property
    def locale(self) -> Locale:
        """Babel's."""
        return Locale.parse(_LOCALES[self.language])

    def count(self, value: float | None) -> str:
        """A whole number with groups."""
        return NOTHING if value is None else numbers.format_decimal(round(value), locale=self.locale)

    def number(self, value: float | None, digits: int = 3, *, signed: bool = False) -> str:
        """With so many decimals, a real minus sign, and a plus sign where asked for."""
        if value is None:
            return NOTHING
        text = numbers.format_decimal(value, format="#,##0." + "0" * digits if digits else "#,##0", locale=self.locale)
        return ("+" if signed and value > 0 else "") + text.replace("-", "\u2212")

    def size(self, value: float | None) -> str:
        """Three significant figures, for quantities of any size: 2.90 · 10¹²."""
        if value is None:
            return NOTHING
        if value == 0 or 0.001 <= abs(value) < 1e6:
            return numbers.format_decimal(value, format="#,##0.###", locale=self.locale)
        mantissa, exponent = f"{value:.2e}".split("e")
        raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{self.number(float(mantissa), 2)}\u00a0·\u00a010{raised}"

    def share(self, value: float | None, digits: int = 0) -> str:
        """In per cent."""
        if value is None:
            return NOTHING
        form = "#,##0." + "0" * digits + "%" if digits else "#,##0%"
        return numbers.format_percent(
            value, format=form if self.language == "en" else form.replace("%", "\u00a0%"), locale=self.locale
        )

    def score(self, score: Mapping[str, Any] | None, *, signed: bool = False) -> str:
        """A value with its interval and n; the method is told apart."""
        if not score:
            return self("not_measured")
        low, high = (self.number(score[key], signed=signed) for key in ("low", "high"))
        return self("score", value=self.number(score["value"], signed=signed), low=low, high=high, n=self.count(score["n"]))

    def interval(self, score: Mapping[str, Any] | None) -> str:
        """The interval and n alone."""
        if not score:
            return self("not_measured")
        return self("interval", low=self.number(score["low"]), high=self.number(score["high"]), n=self.count(score["n"]))

    def span(self, seconds: float | None) -> str:
        """A span of time in the one or two units that matter."""
        if seconds is None:
            return NOTHING
        if seconds < 60:
            return f"{self.number(seconds, 1 if seconds < 10 else 0)}\u00a0s"
        minutes, rest = divmod(round(seconds), 60)
        if minutes < 60:
            return f"{minutes}\u00a0min {rest:02d}\u00a0s"
        hours, minutes = divmod(minutes, 60)
        return f"{self.count(hours)}\u00a0h {minutes:02d}\u00a0min"

    def time(self, iso: str | None) -> str:
        """Date and time (UTC), to the minute."""
        if not iso:
            return NOTHING
        moment = datetime.fromisoformat(iso).astimezone(UTC)
        day = dates.format_date(moment, "medium", locale=self.locale)
        return f"{day} {moment:%H:%M} UTC"

    def day(self, iso: str | None) -> str:
        """A date."""
        return dates.format_date(datetime.fromisoformat(iso), "medium", locale=self.locale) if iso else NOTHING

    def ago(self, iso: str | None, now: datetime | None = None) -> str:
        """How long ago, in words."""
        if not iso:
            return NOTHING
        passed: timedelta = (now or datetime.now(UTC)) - datetime.fromisoformat(iso)
        return dates.format_timedelta(-passed, add_direction=True, locale=self.locale)
