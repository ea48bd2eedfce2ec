"""The stress suite of the `programs` domain: tasks that are unlike all that is trained on or gated by, in four kinds.

* ``perturbed``: gate tasks of levels 4 to 8, worded with other spacing.
* ``adversarial``: gate tasks with operations put in that undo or repeat each other; and eight times the same operation.
* ``out-of-range``: 9 to 12 operations, where the longest task that the domain gives out or states has 8.
* ``malformed``: no task at all. They carry no check; the right thing to do is to refuse them.

The first two do what a gate task does, and that is held out wherever rows come from, however it is worded; so nothing of the
suite needs a list of its own to be kept from training. The first three have a check named ``stress`` on inputs of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from random import Random

from loopwright.domains.behaviour import PROBE, observe, pools, signature_of
from loopwright.domains.operations import LONGEST, STEPS, WORDS, Steps, prompt_of, run, steps_of
from loopwright.domains.tasks import make_task
from loopwright.types import Check, Task, digest_value, seed_of

__all__ = ["KINDS", "stress_tasks"]

KINDS = ("perturbed", "out-of-range", "adversarial", "malformed")
"""Each is reported apart: what they say of a model differs."""

_NAME = "programs"
_PURPOSE = "stress"
_EACH = 40
_LEVELS = range(4, LONGEST + 1)
_LONG_LEVELS = range(LONGEST + 1, LONGEST + 5)
_SPACINGS: tuple[Callable[[list[str]], str], ...] = (
    "  ".join,
    "\t".join,
    lambda words: "  " + " ".join(words),
    lambda words: " ".join(words) + " \n",
    lambda words: " ".join(words[:1]) + "   " + " ".join(words[1:]),
)
_NOTHING = tuple(steps_of(words) for words in ("rev rev", "neg neg", "neg rev neg rev", "rev neg neg rev"))
"""Operations that together do nothing, wherever they are put."""
_AGAIN = ("sort", "uniq", "even", "odd", "pos")
"""What changes nothing when it is done again."""
_STRANGE = ("frob", "REV", "sortt", "4", "0", "-1", "two", "1.0", "rev,", "revsort", "\u0430dd")
"""No word of any prompt; the last begins with a Cyrillic letter."""


def stress_tasks(seed: int, gate: Sequence[Task]) -> Mapping[str, tuple[Task, ...]]:
    """Some forty tasks a kind (fewer where the gate suite is small); they depend on these two alone."""
    return {
        "perturbed": tuple(_perturbed(seed, gate)),
        "out-of-range": tuple(_long(seed)),
        "adversarial": tuple(_adversarial(seed, gate)),
        "malformed": tuple(_malformed(seed)),
    }


def _perturbed(seed: int, gate: Sequence[Task]) -> Iterator[Task]:
    for level in _LEVELS:
        chosen = islice((task for task in gate if task.level == level), _EACH // len(_LEVELS))
        for number, task in enumerate(chosen):
            prompt = _SPACINGS[number % len(_SPACINGS)](task.prompt.split(" "))
            yield _task(seed, steps_of(task.prompt), prompt, task.signature, "perturbed")


def _long(seed: int) -> Iterator[Task]:
    for level in _LONG_LEVELS:
        stream = _counting(Random(seed_of(_NAME, "stress", "long", seed, level)), level)
        for steps, signature in islice(stream, _EACH // len(_LONG_LEVELS)):
            yield _task(seed, steps, prompt_of(steps), signature, "out-of-range")


def _adversarial(seed: int, gate: Sequence[Task]) -> Iterator[Task]:
    """Eight times the same; then gate tasks, each with something needless in it that leaves it within the longest."""
    for name in _AGAIN:
        steps = steps_of(name) * LONGEST
        yield _task(seed, steps, prompt_of(steps), signature_of([run(steps, values) for values in PROBE]), "adversarial")
    rng = Random(seed_of(_NAME, "stress", "adversarial", seed))
    bases = sorted((task for task in gate if task.level > 1), key=lambda _: rng.random())
    made = ((task, _with_needless(steps_of(task.prompt), rng)) for task in bases)
    fitting = ((task, steps) for task, steps in made if len(steps) in _LEVELS)
    for task, steps in islice(fitting, _EACH - len(_AGAIN)):
        yield _task(seed, steps, prompt_of(steps), task.signature, "adversarial")


def _with_needless(steps: Steps, rng: Random) -> Steps:
    """An operation done twice where that is the same as once; else a piece that does nothing, somewhere."""
    again = [place for place, step in enumerate(steps) if step.name in _AGAIN]
    if again and rng.random() < 0.5:
        place = again[int(rng.random() * len(again))]
        return (*steps[:place], steps[place], *steps[place:])
    place = int(rng.random() * (len(steps) + 1))
    return steps[:place] + _NOTHING[int(rng.random() * len(_NOTHING))] + steps[place:]


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


def _drawn(rng: Random, count: int) -> Steps:
    return tuple(STEPS[int(rng.random() * len(STEPS))] for _ in range(count))
