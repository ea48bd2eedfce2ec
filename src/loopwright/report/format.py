"""How values look on paper, in the reader's language: numbers with their interval and n, times in UTC, digests in readable groups.

Numbers and dates are Babel's (CLDR). Everything a model or a person wrote passes `printable`: what the bundled fonts cannot draw
(and what could turn a line around or hide in it) is shown as its code point, so that no font of the machine is ever used.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

__all__ = ["DIGEST", "PRINTABLE", "Writer", "environment", "printable", "raised"]

PRINTABLE = re.compile(
    r"[\n\x20-\x7e\xa0-\xac\xae-\u0148\u014a-\u017e\u0218-\u021b\u0384-\u038a\u038c\u038e-\u03a1\u03a3-\u03ce\u0401-\u040c\u040e-\u044f\u0451-\u045c\u045e\u045f\u0490\u0491"
    r"\u1e9e\u2013\u2014\u2018\u2019\u201a\u201c\u201d\u201e\u2022\u2026\u2039\u203a\u2070\u2074-\u2079\u207b\u20ac\u2122\u2190-\u2193\u2212\u221e\u2248\u2260\u2264\u2265]"
)
"""The letters of the Union's languages and the signs of a report: what the bundled fonts draw (a test holds this against the fonts)."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_UNPRINTABLE = re.compile("[^" + PRINTABLE.pattern[1:])
_LONG = re.compile(r"\S{25,}")
_PIECE = re.compile(r"&[a-z0-9#]+;|.")
"""A word that has to be broken somewhere in a narrow column."""
CELL = 1200
"""Characters of one cell or item; the whole is in the data."""
SHORT = 16
"""Of a word or two that are not taken apart."""
_LARGEST = 1e15
"""From here on (and below a ten-thousandth) a number is written with its power of ten."""


_SCIENTIFIC = re.compile(r"(\d+(?:\.\d+)?)e([+-]?\d+)\b")
_POWER = re.compile(r"\b10\^(-?\d+)")
_RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


def raised(exponent: int) -> str:
    """A power, in the characters for it: they stay what they are when the text is copied or read aloud."""
    return str(exponent).translate(_RAISED)


def printable(text: str) -> str:
    """The text with every other character as ``[U+XXXX]``."""
    return _UNPRINTABLE.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


@dataclass(frozen=True, slots=True)
class Writer:
    """Values as text in one locale."""

    locale: Locale
    words: Mapping[str, str]
    term: Callable[[str], str] = str
    """Our own words that stand in tables, in this language; what is none of them stays as it is."""

    def number(self, value: float, digits: int | None = None) -> str:
        """Whole numbers whole, others with three decimals or as many as are asked for, and two figures at least; a true minus sign."""
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        if value and not (1e-4 <= abs(value) < _LARGEST) and not (isinstance(value, int) and abs(value) < _LARGEST):
            return self.power(value, 2 if digits is None else digits)
        places = digits if digits is not None else 0 if isinstance(value, int) else 3
        if places and 0 < abs(value) < 10**-places:  # nothing that was measured is printed as nought
            places = 1 - math.floor(math.log10(abs(value)))
        pattern = "#,##0" + ("." + "0" * places if places else "")
        return _plain(format_decimal(value, format=pattern, locale=self.locale))

    def power(self, value: float, digits: int = 2) -> str:
        """``1.23 · 10`` to the power, as reports on compute write it."""
        if not value:
            return "0"
        exponent = math.floor(math.log10(abs(value)))
        mantissa = round(value / 10**exponent, digits)
        if abs(mantissa) >= 10:
            mantissa, exponent = mantissa / 10, exponent + 1
        return f"{self.number(float(mantissa), digits)} \u00d7 10{raised(exponent)}"

    def signs(self, text: str) -> str:
        """A formula or figure of ours as it is printed: powers of ten raised, numbers with this language's decimal sign."""
        text = _SCIENTIFIC.sub(lambda found: f"{found[1].replace('.', self.decimal)} \u00d7 10{raised(int(found[2]))}", text)
        return _POWER.sub(lambda found: f"10{raised(int(found[1]))}", text)

    @property
    def decimal(self) -> str:
        """What stands between a number's whole and its parts."""
        return get_decimal_symbol(self.locale)

    @property
    def group(self) -> str:
        """What stands between thousands."""
        return _plain(get_group_symbol(self.locale))

    def signed(self, value: float, digits: int | None = None) -> str:
        """A difference: always with its sign."""
        return ("+" if value > 0 else "") + self.number(float(value), digits)

    def interval(self, score: Mapping[str, Any], digits: int | None = None) -> str:
        """Both ends of a score's interval."""
        low, high = (self.number(float(score[end]), digits) for end in ("low", "high"))
        return f"{low} {self.words['to']} {high}"

    def share(self, value: float, digits: int | None = None) -> str:
        """Of one, in percent."""
        return f"{self.number(100 * float(value), 1 if digits is None else digits)}\u00a0%"

    def probability(self, value: float) -> str:
        """A probability, small ones as a bound."""
        if not value:
            return "0"
        return f"< {self.number(0.0001, 4)}" if 0 < value < 0.0001 else self.number(float(value), 4)

    def bytes(self, value: float) -> str:
        """In the unit a person would use (powers of 1,000)."""
        for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
            if abs(value) < 1000 or unit == "PB":
                return f"{self.number(value, 0 if unit == 'B' else 1)}\u00a0{unit}"
            value /= 1000
        raise AssertionError

    def seconds(self, value: float) -> str:
        """A duration in the unit a person would use."""
        if value < 59.95:
            return f"{self.number(float(value), 1)}\u00a0s"
        minutes, rest = divmod(round(value), 60)
        if minutes < 60:
            return f"{minutes}\u00a0min {rest:02d}\u00a0s"
        return f"{self.number(minutes // 60)}\u00a0h {minutes % 60:02d}\u00a0min"

    def time(self, value: str) -> str:
        """A time of the record, to the second, in UTC; what is no time stays as it is."""
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        if len(value) == 10:
            return self.day(value)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
        return f"{self.day(moment.date().isoformat())}, {moment:%H:%M:%S} UTC"

    def day(self, value: str) -> str:
        """A day, the month in words."""
        return _plain(format_date(date.fromisoformat(value[:10]), format="long", locale=self.locale))

    def digest(self, value: str) -> Markup:
        """``sha256`` and the hex digits in groups of eight, none of them cut."""
        name, _, hexadecimal = str(value).partition(":")
        if not hexadecimal:
            return Markup('<span class="digest">{}</span>').format(printable(str(value)))
        groups = " ".join(hexadecimal[start : start + 8] for start in range(0, len(hexadecimal), 8))
        return Markup('<span class="digest">{} {}</span>').format(printable(name), printable(groups))

    def groups(self, value: str) -> Markup:
        """The hex digits of a digest alone, in groups of eight."""
        digits = str(value).rpartition(":")[2]
        shown = " ".join(digits[start : start + 8] for start in range(0, len(digits), 8))
        return Markup('<span class="digest">{}</span>').format(printable(shown))

    def yesno(self, value: object) -> str:
        """Yes or no, in words."""
        return self.words["yes" if value else "no"]

    def cell(self, value: Any) -> Any:
        """A table's cell, by what it is; an empty one says so."""
        if value is None or value in ("", [], {}):
            return self.words["none"]
        if isinstance(value, bool):
            return self.yesno(value)
        if isinstance(value, (int, float)):
            return self.number(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, (list, tuple)):
            return Markup(", ").join(self.cell(item) for item in value)
        return self._text(str(value))

    def _mapping(self, value: Mapping[str, Any]) -> Any:
        if {"value", "low", "high"} <= set(value):
            known = f", n\u00a0{self.number(value['n'])}" if value.get("n") is not None else ""
            return f"{self.number(float(value['value']))} ({self.interval(value)}{known})"
        return Markup(", ").join(self._pair(self.term(str(key)), item) for key, item in value.items())

    def _pair(self, name: str, item: Any) -> Any:
        """A name with what it has; a short one with its number stays on one line."""
        short = len(name) <= SHORT and isinstance(item, (int, float))
        return Markup("{}{}{}").format(
            printable(name.replace(" ", "\u00a0") if short else name), "\u00a0" if short else " ", self.cell(item)
        )

    def _text(self, value: str) -> Any:
        if DIGEST.fullmatch(value):
            return self.digest(value)
        if _TIME.fullmatch(value):
            return re.sub(r"(?<!,) ", "\u00a0", self.time(value))  # broken after the day, nowhere else
        if _DAY.fullmatch(value):
            with contextlib.suppress(ValueError):  # looks like a day, and is none
                return self.day(value)
        if len(value) > CELL:
            value = value[:CELL] + " " + self.words["cut_cell"].format(length=self.number(len(value)))
        return self.text(value)

    def text(self, value: str) -> Markup:
        """Words as they are, each where it may be broken if it is too long for its place (cheaper to set than any break anywhere)."""
        shown = str(escape(printable(value)))
        return Markup(_LONG.sub(_breakable, shown)) if _LONG.search(shown) else Markup(shown)  # noqa: S704  # escaped above


def _breakable(word: re.Match[str]) -> str:
    """A chance to break after every twelfth character; an entity is one."""
    pieces = _PIECE.findall(word[0])
    return "<wbr>".join("".join(pieces[at : at + 12]) for at in range(0, len(pieces), 12))


def _plain(text: str) -> str:
    """With a true minus sign, and with the one kind of fixed space that the fonts have."""
    return text.replace("-", "\u2212").replace("\u202f", "\u00a0").replace("\u2009", "\u00a0")


def environment(load: Callable[[str], str | None] = {}.get) -> Environment:
    """The template engine: undefined names are errors, everything is escaped; ``load`` gives the templates that one may import."""
    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
        loader=FunctionLoader(load),
    )


def _finalize(value: Any) -> Any:
    if value is None:
        raise ValueError("a template prints a value that is not there; it must say so in words")
    return value if isinstance(value, Markup) else printable(str(value))
