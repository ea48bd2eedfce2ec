"""What a task of the `programs` domain does, as data: test inputs in disjoint pools, signatures, and which tasks count.

A task is what it does to the probe inputs, not how it is worded: two wordings of one behaviour have one signature, and
a behaviour that is held out is held out however it is worded. A task counts only if it cannot be solved by accident.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from random import Random

from loopwright.domains.operations import Steps, Values, run
from loopwright.types import Check, Digest, digest_value, seed_of

__all__ = ["POOLS", "PROBE", "checks_of", "fresh_of", "observe", "pools", "signature_of"]

POOLS: Mapping[str, int] = {"visible": 4, "hidden": 5, "gate": 8, "sealed": 8, "stress": 8}
"""How many test inputs each purpose has, besides the twelve probes. They are cut from one stream: new ones go to the end."""

_PROBES = 12
_INFORMATIVE = 9
"""Of the probe outputs, as many must be longer than 1, and as many distinct."""
_FRESH = 8
"""Inputs of an audit."""
_LONGEST_OUTPUT = 60
_LARGEST_VALUE = 10**9

_SHORTEST_INPUT, _LONGEST_INPUT = 6, 12
_LARGEST_INPUT_VALUE = 9


def _lists(seed: int) -> Iterator[Values]:
    """Test inputs without end; `Random.random` alone is stable across Python versions."""
    draw = Random(seed).random
    lengths = _LONGEST_INPUT - _SHORTEST_INPUT + 1
    values = 2 * _LARGEST_INPUT_VALUE + 1
    while True:
        length = _SHORTEST_INPUT + int(draw() * lengths)
        yield [int(draw() * values) - _LARGEST_INPUT_VALUE for _ in range(length)]


PROBE: tuple[Values, ...] = tuple(islice(_lists(seed_of("programs", "probe")), _PROBES))
"""Inputs of signatures and of the filter: the same for every suite, so that a signature means one thing everywhere."""


@functools.lru_cache(maxsize=8)
def pools(seed: int) -> Mapping[str, tuple[Values, ...]]:
    """Test inputs by purpose: one stream of distinct lists, none of them a probe, cut into pieces."""
    taken = {tuple(values) for values in PROBE}
    stream = _lists(seed_of("programs", "pools", seed))
    return {purpose: tuple(islice(_fresh(stream, taken), count)) for purpose, count in POOLS.items()}


def _fresh(stream: Iterator[Values], taken: set[tuple[int, ...]]) -> Iterator[Values]:
    for values in stream:
        if tuple(values) not in taken:
            taken.add(tuple(values))
            yield values


def observe(steps: Steps) -> list[Values] | None:
    """Outputs on the probe inputs, or None where the task doesn't count.

    It counts if at least 9 of 12 outputs are longer than 1 and at least 9 are distinct, all are at most 60 long with
    values of at most 1e9, leaving out any one operation changes the behaviour, and it isn't the identity (which an
    empty answer would solve).
    """
    outputs = [run(steps, values) for values in PROBE]
    if not (all(map(_bounded, outputs)) and _informative(outputs)) or outputs == list(PROBE):
        return None
    return outputs if _needs_all(steps, PROBE, outputs) else None


def _bounded(output: Values) -> bool:
    return len(output) <= _LONGEST_OUTPUT and all(-_LARGEST_VALUE <= value <= _LARGEST_VALUE for value in output)


def _informative(outputs: Sequence[Values]) -> bool:
    longer = sum(len(output) > 1 for output in outputs)
    return longer >= _INFORMATIVE and len({tuple(output) for output in outputs}) >= _INFORMATIVE


def _needs_all(steps: Steps, inputs: Sequence[Values], outputs: Sequence[Values]) -> bool:
    """Whether leaving out any one operation shows on these inputs."""
    shorter = (steps[:index] + steps[index + 1 :] for index in range(len(steps)))
    pairs = list(zip(inputs, outputs, strict=True))
    return all(any(run(fewer, values) != output for values, output in pairs) for fewer in shorter)


def signature_of(outputs: Sequence[Values]) -> Digest:
    """Digest of the outputs on the probe inputs."""
    return digest_value(outputs)


def checks_of(steps: Steps, inputs: Mapping[str, tuple[Values, ...]]) -> dict[str, Check] | None:
    """What the task makes of these inputs, by purpose.

    None where an output is too long or too large to be kept, or where an answer that leaves out an operation would pass.
    """
    checks = {
        purpose: Check(inputs=lists, outputs=tuple(run(steps, values) for values in lists)) for purpose, lists in inputs.items()
    }
    given = [values for check in checks.values() for values in check.inputs]
    asked = [values for check in checks.values() for values in check.outputs]
    return checks if all(map(_bounded, asked)) and _needs_all(steps, given, asked) else None


def fresh_of(steps: Steps, seed: int, pool_seed: int) -> Check:
    """What the task makes of inputs that are neither probes nor in any pool, where the outputs are such that a task may have them."""
    taken = {tuple(values) for values in PROBE} | {tuple(values) for pool in pools(pool_seed).values() for values in pool}
    stream = islice(_fresh(_lists(seed_of("programs", "fresh", seed)), taken), 50 * _FRESH)
    pairs = ((values, run(steps, values)) for values in stream)
    chosen = tuple(islice(((values, output) for values, output in pairs if _bounded(output)), _FRESH))
    return Check(inputs=tuple(values for values, _ in chosen), outputs=tuple(output for _, output in chosen))
