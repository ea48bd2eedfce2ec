"""Words for what stands in the catalogue's tables: heads of columns, how a value was obtained, and values that are words of ours.

Words of models, of persons and of domains are data and are never looked up here. It binds no fact.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from importlib.resources import files
from itertools import zip_longest

from loopwright.report.facts.registry import LANGUAGES, names

__all__ = ["PLACE", "patterns", "phrase", "phrases"]

PLACE = re.compile(r"\*\*?")
"""Where a pattern keeps what the record has there: ``*`` is a word or a number, ``**`` any text."""
_KEEPS = {"*": r"([^ ,;()]+?)", "**": r"(.+?)"}
_PERCENT = re.compile(r"(?<=\d) (?=%)")


@functools.cache
def phrases() -> Mapping[str, Mapping[str, str]]:
    """Every word by key, then by language."""
    lines = files("loopwright.report.facts").joinpath("words.txt").read_text("utf-8").splitlines()
    found: dict[str, Mapping[str, str]] = {}
    for line in lines:
        if line and not line.startswith("#"):
            key, *words = (part.strip() for part in line.split("|"))
            found.setdefault(key, dict(zip(LANGUAGES, (_PERCENT.sub("\u00a0", one) for one in words), strict=True)))
    return found


@functools.cache
def patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Keys with a ``*``, and what they match."""
    return tuple((key, re.compile(_matching(key))) for key in phrases() if "*" in key)


def _matching(key: str) -> str:
    """The expression that a key with places stands for."""
    said, kept = map(re.escape, PLACE.split(key)), [_KEEPS[place] for place in PLACE.findall(key)]
    return "".join(part for pair in zip_longest(said, kept, fillvalue="") for part in pair)


def phrase(key: str, language: str) -> str | None:
    """A word of ours in a language; a name of the catalogue has its label; None where it is none of ours."""
    if key in phrases():
        return phrases()[key].get(language)
    known = names().get(key)
    return known.labels.get(language) if known else None
