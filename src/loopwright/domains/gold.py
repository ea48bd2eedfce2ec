"""Answers that are wrong for certain: right ones with one thing changed, whose difference is seen and not assumed."""

from __future__ import annotations

from random import Random

from loopwright.domains.behaviour import PROBE
from loopwright.domains.operations import STEPS, Steps, run

__all__ = ["mutated", "perturbed"]

_TRIES = 100


def mutated(steps: Steps, rng: Random) -> Steps:
    """The steps with one dropped, replaced, or exchanged with its neighbour, which does something else on the probe inputs.

    Raises:
        ValueError: a hundred draws found none, as for steps that do nothing.
    """
    does = [run(steps, values) for values in PROBE]
    for _ in range(_TRIES):
        other = _changed(steps, rng)
        if [run(other, values) for values in PROBE] != does:
            return other
    raise ValueError(f"no small change of {' '.join(step.words for step in steps)!r} shows on the probe inputs")


def _changed(steps: Steps, rng: Random) -> Steps:
    at = int(rng.random() * len(steps))
    head, tail = steps[:at], steps[at + 1 :]
    match int(rng.random() * 3):
        case 0 if len(steps) > 1:
            return head + tail
        case 1 if tail:
            return (*head, tail[0], steps[at], *tail[1:])
        case _:
            return (*head, STEPS[int(rng.random() * len(STEPS))], *tail)


def perturbed(text: str, rng: Random) -> str:
    """The text with one character doubled, replaced by another letter, or left out; never the same but for case and blanks."""
    while True:
        at = int(rng.random() * len(text))
        letter = "abcdefghijklmnopqrstuvwxyz0123456789"[int(rng.random() * 36)]
        middle = (text[at] * 2, letter, "")[int(rng.random() * 3)]
        other = text[:at] + middle + text[at + 1 :]
        if other.strip() and "".join(other.split()).casefold() != "".join(text.split()).casefold():
            return other
