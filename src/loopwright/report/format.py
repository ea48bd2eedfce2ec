"""How values look on paper: numbers with their interval and n, times in UTC, digests in readable groups, text made safe.

Everything a model or a person wrote passes `printable`: what the bundled fonts cannot draw (and what could turn a line
around or hide in it) is shown as its code point, so that no font of the machine is ever used and no glyph is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from loopwright.report.claims import NOT_PROVIDED

__all__ = ["FILTERS", "PRINTABLE", "environment", "printable"]

PRINTABLE = re.compile(r"[\n\x20-\x7e\xa0-\xac\xae-\xff\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026\u20ac\u2212]")
"""Characters that both bundled fonts draw (a test holds this against the fonts)."""


def printable(text: str) -> str:
    """The text with every other character as ``[U+XXXX]``."""
    return "".join(char if PRINTABLE.match(char) else f"[U+{ord(char):04X}]" for char in text)


def number(value: float, digits: int = 3) -> str:
    """A number with a true minus sign; whole numbers without decimals, thousands apart."""
    text = f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"
    return text.replace("-", "\u2212").replace(",", "\u00a0")


def signed(value: float) -> str:
    """A difference: always with its sign."""
    return ("+" if value > 0 else "") + number(float(value))


def interval(score: Mapping[str, Any]) -> str:
    """Both ends of a score's interval."""
    return f"{number(float(score['low']))} to {number(float(score['high']))}"


def probability(value: float) -> str:
    """A probability, small ones as a bound."""
    return "< 0.0001" if 0 < value < 0.0001 else f"{value:.4f}"


def digest(value: str) -> str:
    """``sha256:`` and the hex digits in groups of eight."""
    name, _, hexadecimal = value.partition(":")
    if not hexadecimal:
        return value
    return f"{name} " + " ".join(hexadecimal[start : start + 8] for start in range(0, len(hexadecimal), 8))


def time(value: str) -> str:
    """A time of the record, to the second, in UTC."""
    return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%S UTC")


def seconds(value: float) -> str:
    """A duration in the unit a person would use."""
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


FILTERS = {
    "digest": digest, "interval": interval, "number": number, "probability": probability,
    "seconds": seconds, "signed": signed, "time": time,
}  # fmt: skip


def environment() -> Environment:
    """The template engine: undefined names are errors, everything is escaped, None is said in words."""
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalize)
    engine.filters |= FILTERS
    return engine


def _finalize(value: Any) -> Any:
    if value is None:
        return NOT_PROVIDED
    return value if isinstance(value, Markup) else printable(str(value))
