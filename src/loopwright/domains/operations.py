"""The seventeen list operations of the `programs` domain: what they are called, what they do, how they are written.

Each operation is known twice, independently: as a function, which computes expected values, and as a Python statement,
which is the reference answer. Tests hold one against the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

__all__ = ["LEXEMES", "LONGEST", "STEPS", "WORDS", "Step", "Steps", "answer_of", "prompt_of", "run", "steps_of"]

Values = list[int]

LONGEST = 8
"""Operations in the longest task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation with its parameter: a word or two of a prompt, a line of an answer."""

    name: str
    """The operation, for example ``rot``."""
    words: str
    """How a prompt says it, for example ``rot 2``."""
    statement: str
    """How an answer says it: one Python statement on the variable ``x``."""
    apply: Callable[[Values], Values]
    """What it does; never changes its argument."""


Steps = tuple[Step, ...]
"""Outermost first, as a prompt names them; they act from the last to the first."""

_PLAIN: dict[str, tuple[str, Callable[[Values], Values]]] = {
    "rev": ("x=x[::-1]", lambda x: x[::-1]),
    "sort": ("x=sorted(x)", sorted),
    "uniq": ("x=list(dict.fromkeys(x))", lambda x: list(dict.fromkeys(x))),
    "neg": ("x=[-v for v in x]", lambda x: [-v for v in x]),
    "sq": ("x=[v*v for v in x]", lambda x: [v * v for v in x]),
    "even": ("x=[v for v in x if v%2==0]", lambda x: [v for v in x if not v & 1]),
    "odd": ("x=[v for v in x if v%2==1]", lambda x: [v for v in x if v & 1]),
    "dbl": ("x=x+x", lambda x: x * 2),
    "pos": ("x=[v for v in x if v>0]", lambda x: [v for v in x if v > 0]),
    "cum": ("x=[sum(x[:i+1]) for i in range(len(x))]", lambda x: list(accumulate(x))),
    "diff": ("x=[b-a for a,b in zip(x,x[1:])]", lambda x: [b - a for a, b in pairwise(x)]),
}

_WITH_PARAMETER: dict[str, tuple[str, Callable[[Values, int], Values]]] = {
    "drop": ("x=x[{k}:]", lambda x, k: x[k:]),
    "cut": ("x=x[:-{k}]", lambda x, k: x[:-k]),
    "add": ("x=[v+{k} for v in x]", lambda x, k: [v + k for v in x]),
    "mul": ("x=[v*{k} for v in x]", lambda x, k: [v * k for v in x]),
    "rot": ("x=x[{k}:]+x[:{k}]", lambda x, k: x[k:] + x[:k]),
    "app": ("x=x+[{k}]", lambda x, k: [*x, k]),
}

_PARAMETERS = (1, 2, 3)


def _bound(operation: Callable[[Values, int], Values], k: int) -> Callable[[Values], Values]:
    return lambda x: operation(x, k)


def _every_step() -> Steps:
    plain = [Step(name=name, words=name, statement=text, apply=does) for name, (text, does) in _PLAIN.items()]
    others = [
        Step(name=name, words=f"{name} {k}", statement=text.format(k=k), apply=_bound(does, k))
        for name, (text, does) in _WITH_PARAMETER.items()
        for k in _PARAMETERS
    ]
    return (*plain, *others)


STEPS: Steps = _every_step()
"""All 29: eleven operations as they are, six with a parameter from 1 to 3."""

WORDS: tuple[str, ...] = (*_PLAIN, *_WITH_PARAMETER, *map(str, _PARAMETERS))
"""Everything that a prompt may say, between blanks."""

LEXEMES: tuple[str, ...] = (
    *("\n", "x=", "1", "2", "3"),
    *("x", "v", "a", "b", "i+1", "[", "]", "[:", ":]", "[::-1]", ")", "))", ",", "+", "-", "*"),
    *("sorted(", "list(", "dict.fromkeys(", "sum(", " for v in ", " for a,b in zip(", " for i in range(len("),
    *(" if ", "%2==0", "%2==1", ">0"),
)
"""Pieces of answers. Whoever joins them at will writes syntax errors as easily as programs: that is meant."""

_BY_WORDS = {step.words: step for step in STEPS}


def run(steps: Steps, values: Values) -> Values:
    """What the task does to a list: the last step first."""
    for step in reversed(steps):
        values = step.apply(values)
    return values


def prompt_of(steps: Steps) -> str:
    """``uniq add 2 rev drop 1``: the operations outermost first."""
    return " ".join(step.words for step in steps)


def answer_of(steps: Steps) -> str:
    """The reference answer: one statement a line, innermost operation first."""
    return "\n".join(step.statement for step in reversed(steps))


def steps_of(prompt: str) -> Steps:
    """The steps that a prompt names; ValueError where it isn't one of ours, to the letter."""
    steps = tuple(_BY_WORDS[words] for words in _grouped(prompt.split(" ")))
    if not 1 <= len(steps) <= LONGEST:
        raise ValueError(f"{len(steps)} operations, where a task has 1 to {LONGEST}: {prompt!r}")
    return steps


def _grouped(words: Sequence[str]) -> list[str]:
    groups: list[str] = []
    position = 0
    while position < len(words):
        taken = 2 if words[position] in _WITH_PARAMETER else 1
        group = " ".join(words[position : position + taken])
        if group not in _BY_WORDS:
            raise ValueError(
                f"{group!r} is no operation (one of {', '.join((*_PLAIN, *_WITH_PARAMETER))}; 1 to 3 after the last six)"
            )
        groups.append(group)
        position += taken
    return groups
