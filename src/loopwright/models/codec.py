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


class Codec:
    """Ids of one alphabet's pieces; the order of the alphabet decides the ids."""

    def __init__(self, alphabet: Alphabet) -> None:
        pieces = dict.fromkeys((*alphabet.words, *alphabet.lexemes))
        if "" in pieces or not alphabet.lexemes:
            raise ValueError("an alphabet needs lexemes, and no piece may be empty")
        self.alphabet = alphabet
        self._ids = {piece: number for number, piece in enumerate(pieces, _MARKS)}
        self._pieces = ("", "", "", *pieces)
        longest = sorted(alphabet.lexemes, key=lambda lexeme: (-len(lexeme), lexeme))
        self._cut = re.compile("|".join(map(re.escape, longest)))
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
            head = self.prompt(prompt)
            known = self._known[prompt, answer] = (np.array(head + self.answer(answer)), len(head))
        return known

    def text(self, ids: Sequence[int]) -> str:
        """The answer that ids spell; marks have no text."""
        return "".join(self._pieces[number] for number in ids)

    def _lexemes(self, text: str) -> list[str]:
        pieces = self._cut.findall(text)
        if sum(map(len, pieces)) != len(text):
            at = _misfit(self._cut, text)
            raise ValueError(f"the text {text!r} cannot be cut into the alphabet's lexemes at {text[at : at + 12]!r}")
        return pieces


def _misfit(cut: re.Pattern[str], text: str) -> int:
    """Where cutting from the start stops short of the end."""
    at = 0
    while found := cut.match(text, at):
        at = found.end()
    return at
