"""Text of the gate and sealed suites, recognised in a row without being readable there: digests of 13-word sequences.

Thirteen words as in Brown et al. 2020 (arXiv:2005.14165, appendix C); and every suite prompt as a whole. Of the words that
all prompts of a domain share ("Spell this word backward ...") nothing is held: a sequence counts only where no six words
in a row of it are in another suite task.

Shorter sequences would be noise: 45 % of the rows of a default loop contain some shorter suite prompt and one in 700 eight
words of a longer one, and none of them asks for what a suite does (signatures see to that).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from loopwright.types import Task, digest_bytes

__all__ = ["FEWEST_BREAKS", "FILE", "NGRAMS", "contaminated", "rows_of", "suspects"]

FILE = "ngrams.parquet"
"""In ``heldout``; workspaces of earlier versions have none."""

NGRAMS: Mapping[str, str] = {"gram": "string", "suite": "string"}

_WORD = re.compile(r"\w+")
_LENGTH = 13
_SHARED = 6
_BYTES = 16
"""Of a digest, as `_digest` keeps them."""
_LETTERS = bytes(ord(chr(code).lower()) if chr(code).isalnum() or chr(code) == "_" else 32 for code in range(128)) + bytes(128)
"""What ASCII characters become: letters small, what is no part of a word a blank."""
FEWEST_BREAKS = _LENGTH - 1
"""Characters between words that a text must have to hold so many in a row."""


def rows_of(suites: Mapping[str, Sequence[Task]]) -> list[dict[str, Any]]:
    """Rows of `NGRAMS`: of each task its prompt, and its expected outputs where they are text of that length."""
    texts = [(suite, task.prompt, [*_texts(task)]) for suite, tasks in suites.items() for task in tasks]
    counts = Counter(six for _, _, said in texts for six in {six for text in said for six in _runs(_words(text), _SHARED)})
    found: dict[str, str] = {}
    for suite, prompt, said in texts:
        found.setdefault(_whole(prompt), suite)
        for run in (run for text in said for run in _runs(_words(text), _LENGTH)):
            if all(counts[six] == 1 for six in _runs(run, _SHARED)):
                found.setdefault(_digest(" ".join(run)), suite)
    return [{"gram": gram, "suite": found[gram]} for gram in sorted(found)]


def suspects(texts: Iterable[str], held: Mapping[str, str]) -> set[str]:
    """Those of these texts that hold thirteen words in a row of a suite: `contaminated` for many answers at once."""
    known = {bytes.fromhex(gram) for gram in held}
    found = set[str]()
    for text in texts:
        # of ASCII, which is nearly everything, without a regular expression
        words = text.encode().translate(_LETTERS).split() if text.isascii() else _encoded(text)
        if len(words) == _LENGTH:
            if sha256(b" ".join(words)).digest()[:_BYTES] in known:
                found.add(text)
        elif len(words) > _LENGTH and any(
            sha256(b" ".join(words[start : start + _LENGTH])).digest()[:_BYTES] in known
            for start in range(len(words) - _LENGTH + 1)
        ):
            found.add(text)
    return found


def _encoded(text: str) -> list[bytes]:
    return [word.encode("utf-8", "surrogatepass") for word in _words(text)]


def contaminated(prompt: str, answer: str, held: Mapping[str, str]) -> str | None:
    """The suite whose text is in a row: thirteen words of it in prompt or answer, or one of its prompts as the prompt."""
    grams = (_whole(prompt), *(_digest(" ".join(run)) for text in (prompt, answer) for run in _runs(_words(text), _LENGTH)))
    return next((held[gram] for gram in grams if gram in held), None)


def _texts(task: Task) -> Iterator[str]:
    yield task.prompt
    yield from (output for check in task.checks.values() for output in check.outputs if isinstance(output, str))


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _runs(words: tuple[str, ...], length: int) -> Iterator[tuple[str, ...]]:
    """All so many words in a row; a longer text has several."""
    return (words[start : start + length] for start in range(len(words) - length + 1))


def _whole(text: str) -> str:
    """Punctuation counts here: `3 + 4` is not `3 - 4`."""
    return _digest("whole " + " ".join(text.casefold().split()))


def _digest(text: str) -> str:
    return digest_bytes(text.encode("utf-8", "surrogatepass"))[7:39]
