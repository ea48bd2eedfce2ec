"""Text <-> token ids for small models, made from a domain's `Alphabet`.

A sequence is ``prompt pieces, sep, answer pieces, eos``. Prompts are split at blanks, answers are cut greedily, longest
lexeme first. A piece that is both a word and a lexeme is one token, so what is learned about it in prompts serves answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from loopwright.plugins import Alphabet

__all__ = ["EOS", "PAD", "SEP", "Codec"]

PAD, EOS, SEP = 0, 1, 2
_MARKS = 3
_REMEMBERED = 2**17
"""Pairs whose ids are kept, some 100 MB of them."""


class Codec:
    """Ids of one alphabet's pieces; the order of the alphabet decides the ids."""

    def __init__(self, alphabet: Alphabet) -> None:
        pieces = dict.fromkeys((*alphabet.words, *alphabet.lexemes))
        if "" in pieces or not alphabet.lexemes:
            raise ValueError("an alphabet needs lexemes, and no piece may be empty")
        self.alphabet = alphabet
        self._ids = {piece: number for number, piece in enumerate(pieces, _MARKS)}
        self._pieces = ("", "", "", *pieces)
        self._longest = sorted(alphabet.lexemes, key=lambda lexeme: (-len(lexeme), lexeme))
        self._cut = re.compile("|".join(map(re.escape, self._longest)))
        self._known: dict[tuple[str, str], tuple[np.ndarray, int]] = {}

    @property
    def size(self) -> int:
        """How many token ids there are, the three marks included."""
        return len(self._pieces)

    @property
    def answers(self) -> list[int]:
        """Ids that may stand in an answer: the lexemes and eos."""
        return sorted({EOS, *(self._ids[lexeme] for lexeme in self.alphabet.lexemes)})

    def prompt(self, text: str) -> list[int]:
        """Ids of a prompt, ``sep`` included; ValueError where it has an unknown piece."""
        pieces = text.split() if self.alphabet.words else self._lexemes(text)
        try:
            return [*(self._ids[piece] for piece in pieces), SEP]
        except KeyError as error:
            raise ValueError(f"the prompt {text!r} has the word {error.args[0]!r}, which the alphabet lacks") from error

    def answer(self, text: str) -> list[int]:
        """Ids of an answer, ``eos`` included; ValueError where it cannot be cut into lexemes."""
        return [*(self._ids[piece] for piece in self._lexemes(text)), EOS]

    def pair(self, prompt: str, answer: str) -> tuple[np.ndarray, int]:
        """Ids of the whole sequence and how many of them are the prompt's. Remembered: training asks many times."""
        known = self._known.get((prompt, answer))
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            head = self.prompt(prompt)
            known = self._known[prompt, answer] = (np.array(head + self.answer(answer)), len(head))
        return known

    def text(self, ids: Sequence[int]) -> str:
        """The answer that ids spell; marks have no text."""
        return "".join(self._pieces[number] for number in ids)

    def _lexemes(self, text: str) -> list[str]:
        pieces = self._cut.findall(text)
        return pieces if sum(map(len, pieces)) == len(text) else self._patiently(text)

    def _patiently(self, text: str) -> list[str]:
        """Each time the longest lexeme after which the rest can be cut too: a model may write what greed gets stuck in."""
        after: list[str | None] = [*[None] * len(text), ""]
        for at in range(len(text) - 1, -1, -1):
            fits = (lexeme for lexeme in self._longest if text.startswith(lexeme, at) and after[at + len(lexeme)] is not None)
            after[at] = next(fits, None)
        if after[0] is None:
            raise ValueError(f"the text {text!r} is not made of the alphabet's lexemes")
        pieces, at = list[str](), 0
        while at < len(text):
            pieces.append(str(after[at]))
            at += len(pieces[-1])
        return pieces
