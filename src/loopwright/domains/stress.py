"""The stress suite of the `programs` domain: tasks that are unlike all that is trained on or gated by, in four kinds.

* ``perturbed``: levels 4 to 8, worded with other spacing. What they ask for is reserved: the domain gives out and states no task
  that does the same, however it is worded.
* ``out-of-range``: 9 to 12 operations, where the longest task that the domain gives out or states has 8.
* ``adversarial``: operations that undo or repeat each other, up to eight times the same. What they ask for is simple and may have
  been trained on; their wordings are reserved.
* ``malformed``: no task at all. They carry no check; the right thing to do is to refuse them.

The first three have a check named ``stress`` on inputs of its own, and no behaviour of the gate or the sealed suite.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from random import Random

from loopwright.domains.behaviour import PROBE, observe, pools, signature_of
from loopwright.domains.operations import LONGEST, STEPS, WORDS, Steps, prompt_of, run, steps_of
from loopwright.domains.tasks import make_task
from loopwright.types import Check, Task, digest_value, seed_of

__all__ = ["KINDS", "is_reserved", "stress_tasks"]

KINDS = ("perturbed", "out-of-range", "adversarial", "malformed")
"""Each is reported apart: what they say of a model differs."""

_NAME = "programs"
_PURPOSE = "stress"
_EACH = 40
_LEVELS = range(4, LONGEST + 1)
_LONG_LEVELS = range(LONGEST + 1, LONGEST + 5)
_SPARE = 4
"""Behaviours of a level that are reserved beyond those that are taken, since a suite may hold some."""
_SPACINGS: tuple[Callable[[list[str]], str], ...] = (
    "  ".join,
    "\t".join,
    lambda words: "  " + " ".join(words),
    lambda words: " ".join(words) + " \n",
    lambda words: " ".join(words[:1]) + "   " + " ".join(words[1:]),
)
_PIECES: tuple[tuple[str, str], ...] = (
    *((undone, "") for undone in ("rev rev", "neg neg", "mul 1", "neg rev neg rev")),
    *((f"{name} {name}", name) for name in ("sort", "uniq", "pos", "even", "odd")),
    *(("sort rev", "sort"), ("sort uniq sort", "sort uniq"), ("even pos even", "even pos")),
)
"""Operations and what is left of them without those that undo each other, come again or are overridden."""
_EIGHT = ("sort", "uniq", "even", "odd", "pos")
"""What changes nothing when it is done again."""
_BASES = 4
"""Operations around a piece, at most: with the longest piece a task still has no more than eight."""
_STRANGE = ("frob", "REV", "sortt", "4", "0", "-1", "two", "1.0", "rev,", "revsort", "\u0430dd")
"""No word of any prompt; the last begins with a Cyrillic letter."""


Candidates = tuple[tuple[Steps, str], ...]
"""Steps with the signature of what they do."""


@functools.lru_cache(maxsize=4)
def stress_tasks(seed: int, held: frozenset[str]) -> Mapping[str, tuple[Task, ...]]:
    """Some forty tasks a kind, none with a signature in ``held`` and no two of one; they depend on these two alone."""
    taken = set(held)
    return {
        "perturbed": tuple(_perturbed(seed, taken)),
        "out-of-range": tuple(_long(seed, taken)),
        "adversarial": tuple(_adversarial(seed, taken)),
        "malformed": tuple(_malformed(seed)),
    }


def is_reserved(seed: int, task: Task) -> bool:
    """Whether the task does what a perturbed one may ask for, or is worded like an adversarial one. Asks no suite."""
    behaviours, wordings = _reserved(seed)
    return task.signature in behaviours or task.prompt in wordings


@functools.lru_cache(maxsize=8)
def _reserved(seed: int) -> tuple[frozenset[str], frozenset[str]]:
    behaviours = frozenset(signature for level in _LEVELS for _, signature in _ordinary(seed, level))
    return behaviours, frozenset(prompt_of(steps) for steps, _ in _needless(seed))


def _perturbed(seed: int, taken: set[str]) -> Iterator[Task]:
    each = _EACH // len(_LEVELS)
    for level in _LEVELS:
        for number, (steps, signature) in enumerate(islice(_fresh(_ordinary(seed, level), taken), each)):
            prompt = _SPACINGS[number % len(_SPACINGS)](prompt_of(steps).split(" "))
            yield _task(seed, steps, prompt, signature, "perturbed")


def _long(seed: int, taken: set[str]) -> Iterator[Task]:
    for level in _LONG_LEVELS:
        stream = _counting(Random(seed_of(_NAME, "stress", "long", seed, level)), level)
        for steps, signature in islice(_fresh(stream, taken), _EACH // len(_LONG_LEVELS)):
            yield _task(seed, steps, prompt_of(steps), signature, "out-of-range")


def _adversarial(seed: int, taken: set[str]) -> Iterator[Task]:
    for steps, signature in islice(_fresh(_needless(seed), taken), _EACH):
        yield _task(seed, steps, prompt_of(steps), signature, "adversarial")


@functools.lru_cache(maxsize=64)
def _ordinary(seed: int, level: int) -> Candidates:
    """Tasks that count, of operations of different names: hardly one of them is a shorter one in disguise."""
    found = _counting(Random(seed_of(_NAME, "stress", "perturbed", seed, level)), level)
    different = ((steps, signature) for steps, signature in found if len({step.name for step in steps}) == level)
    return tuple(islice(different, _EACH // len(_LEVELS) + _SPARE))


@functools.lru_cache(maxsize=8)
def _needless(seed: int) -> Candidates:
    """Eight times the same; then each piece in turn, somewhere in a task that counts without what is needless."""
    rng = Random(seed_of(_NAME, "stress", "adversarial", seed))
    found = {signature: steps for steps, signature in map(_eight_times, _EIGHT)}
    while len(found) < _EACH + _SPARE * len(_LEVELS):
        piece, left = _PIECES[len(found) % len(_PIECES)]
        base = _drawn(rng, 1 + int(rng.random() * _BASES))
        place = int(rng.random() * (len(base) + 1))
        steps = base[:place] + _steps(piece) + base[place:]
        outputs = observe(base[:place] + _steps(left) + base[place:])
        if outputs is not None and len(steps) in _LEVELS:  # shorter wordings belong to the human rows
            found.setdefault(signature_of(outputs), steps)
    return tuple((steps, signature) for signature, steps in found.items())


def _eight_times(name: str) -> tuple[Steps, str]:
    once = _steps(name)
    return once * LONGEST, signature_of([run(once, values) for values in PROBE])


def _steps(words: str) -> Steps:
    return steps_of(words) if words else ()


def _malformed(seed: int) -> Iterator[Task]:
    """Ordinary prompts with a word too strange, too few or too many; and those that say nothing."""
    rng = Random(seed_of(_NAME, "stress", "malformed", seed))
    prompts = dict.fromkeys(["", " ", "1", "add"])
    while len(prompts) < _EACH:
        words = prompt_of(_drawn(rng, 2 + int(rng.random() * 5))).split(" ")
        place, way = int(rng.random() * len(words)), len(prompts) % 3
        if way == 0:
            words[place] = _STRANGE[int(rng.random() * len(_STRANGE))]
        elif way == 1:
            words.insert(place, WORDS[-1 - int(rng.random() * 3)])
        else:
            words = [word for at, word in enumerate(words) if at != place or not word.isdigit()]
        if not _stated(" ".join(words)):
            prompts[" ".join(words)] = None
    for prompt in prompts:
        signature = digest_value({"malformed": prompt})
        yield make_task(_NAME, prompt=prompt, level=0, signature=signature, checks={}, slices={_PURPOSE: "malformed"})


def _stated(prompt: str) -> bool:
    try:
        return bool(steps_of(prompt))
    except ValueError:
        return False


def _task(seed: int, steps: Steps, prompt: str, signature: str, kind: str) -> Task:
    inputs = pools(seed)[_PURPOSE]
    check = Check(inputs=inputs, outputs=tuple(run(steps, values) for values in inputs))
    slices = {_PURPOSE: kind}
    return make_task(_NAME, prompt=prompt, level=len(steps), signature=signature, checks={_PURPOSE: check}, slices=slices)


def _counting(rng: Random, level: int) -> Iterator[tuple[Steps, str]]:
    """Tasks that count, with their signatures. Endless."""
    while True:
        steps = _drawn(rng, level)
        outputs = observe(steps)
        if outputs is not None:
            yield steps, signature_of(outputs)


def _fresh(found: Iterable[tuple[Steps, str]], taken: set[str]) -> Iterator[tuple[Steps, str]]:
    """Those that are not taken; what it yields is."""
    for steps, signature in found:
        if signature not in taken:
            taken.add(signature)
            yield steps, signature


def _drawn(rng: Random, count: int) -> Steps:
    return tuple(STEPS[int(rng.random() * len(STEPS))] for _ in range(count))
