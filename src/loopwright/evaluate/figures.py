"""The figures of the collapse card: pure functions of numbers and texts, each a `Score` with n, interval and method.

Where a figure is "÷ the first model's", the first model's own value is taken as fixed and the interval is the later one's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from loopwright.intervals import wilson
from loopwright.types import Score

__all__ = [
    "distinct",
    "distinct_n",
    "gap",
    "grams",
    "mean_per_token",
    "paired_ratio",
    "quartered",
    "rare",
    "recalled",
    "relative",
    "thinner_tail",
    "vendi",
]

_RESAMPLES = 1000
_SEED = 20260101
_Z = 1.959963984540054
_RARE = 2
"""A type is rare where the reference has it at most so often."""
_PIECE = re.compile(r"\w+|[^\w\s]")


def paired_ratio(now: Sequence[float], first: Sequence[float]) -> Score:
    """Sum over rows ÷ the same rows' sum under the first model; percentile bootstrap over rows."""
    import numpy as np

    a, b = np.asarray(now), np.asarray(first)
    drawn = np.random.default_rng(_SEED).integers(len(a), size=(_RESAMPLES, len(a)))
    low, high = np.quantile(a[drawn].sum(1) / b[drawn].sum(1), (0.025, 0.975))
    return Score(
        value=float(a.sum() / b.sum()), low=float(low), high=float(high), n=len(a), method="paired bootstrap over rows 95%"
    )


def mean_per_token(nats: Sequence[float], tokens: Sequence[int]) -> Score:
    """Surprisal a token in nats, over rows with so many tokens each; percentile bootstrap over rows."""
    score = paired_ratio(nats, [float(count) for count in tokens])
    return replace(score, method="bootstrap over rows 95%")


def thinner_tail(values: Sequence[float], low: float, high: float) -> Score:
    """The smaller of the shares below ``low`` and above ``high``: a model that collapses fills both tails, one that learns one.

    After Shumailov et al. (Nature 631 (2024) 755, figure 1): perplexity of what is generated, under the first model.
    """
    below, above = [value < low for value in values], [value > high for value in values]
    found = wilson(min(below, above, key=sum))
    assert found is not None  # noqa: S101  # a panel is never empty here
    return found


def relative(score: Score, first: float) -> Score | None:
    """A figure ÷ the first model's; None where that is nothing."""
    if not first:
        return None
    return Score(value=score.value / first, low=score.low / first, high=score.high / first, n=score.n, method=score.method)


def grams(text: str, length: int) -> list[tuple[str, ...]]:
    """Runs of ``length`` pieces (words and signs) of a text; its beginning and end count as pieces."""
    pieces = ["", *_PIECE.findall(text), ""]
    return [tuple(pieces[at : at + length]) for at in range(len(pieces) - length + 1)]


def rare(reference: Sequence[str], length: int) -> frozenset[tuple[str, ...]]:
    """Types that the reference has once or twice."""
    counts = Counter(gram for text in reference for gram in grams(text, length))
    return frozenset(gram for gram, count in counts.items() if count <= _RARE)


def recalled(types: Collection[tuple[str, ...]], samples: Sequence[str], length: int) -> Score | None:
    """Share of the types that the samples contain: the tails go first when a model collapses."""
    seen = {gram for text in samples for gram in grams(text, length)}
    return wilson([gram in seen for gram in sorted(types)])


def quartered(values: Sequence[Any], measure: Callable[[Sequence[Any]], float]) -> Score:
    """Mean of a diversity over four disjoint quarters with its t interval: a bootstrap would repeat values and bias it."""
    import numpy as np
    from scipy.stats import t

    found = np.array([measure(values[quarter::4]) for quarter in range(4)])
    half = float(t.ppf(0.975, 3) * found.std(ddof=1) / 2)
    value = float(found.mean())
    return Score(value=value, low=value - half, high=value + half, n=len(values), method="t over 4 quarters 95%")


def distinct(values: Sequence[Any]) -> float:
    """Different values ÷ values."""
    return len(set(values)) / len(values)


def distinct_n(texts: Sequence[str]) -> float:
    """Different runs of three pieces ÷ runs. Reported and never trusted: it rises while a model collapses into noise."""
    found = [gram for text in texts for gram in grams(text, 3)]
    return len(set(found)) / max(1, len(found))


def vendi(texts: Sequence[str]) -> float:
    """Vendi score: exp of the entropy of the eigenvalues of K / n, K the cosine of counts of pairs of pieces.

    The effective number of different texts, 1 to n (Friedman and Dieng, TMLR 2023, arXiv 2210.02410).
    """
    import numpy as np

    counts = [Counter(grams(text, 2)) for text in texts]
    places = {gram: place for place, gram in enumerate(sorted({gram for each in counts for gram in each}))}
    table = np.zeros((len(texts), len(places)))
    for row, each in enumerate(counts):
        for gram, count in each.items():
            table[row, places[gram]] = count
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(table @ table.T / len(texts))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def gap(proxy: Mapping[int, tuple[int, int, int]], gold: Mapping[int, Sequence[bool]]) -> Score | None:
    """What the verifier passes less what the gate passes, of one model, over the levels that both have.

    Args:
        proxy: By level: tasks, samples, samples passed.
        gold: By level: whether each gate task is solved.

    Levels are weighted by the samples. The interval is normal, its variance from the number of tasks, since a task's samples
    are no independent draws; one success and one failure are added so that it never shrinks to a point.
    """
    levels = sorted(level for level in proxy.keys() & gold.keys() if proxy[level][1] and gold[level])
    total = sum(proxy[level][1] for level in levels)
    if not total:
        return None
    value, variance, seen = 0.0, 0.0, 0
    for level in levels:
        tasks, samples, passed = proxy[level]
        weight = samples / total
        value += weight * (passed / samples - sum(gold[level]) / len(gold[level]))
        variance += weight**2 * (_variance(passed / samples * tasks, tasks) + _variance(sum(gold[level]), len(gold[level])))
        seen += tasks + len(gold[level])
    half = _Z * variance**0.5
    return Score(value=value, low=value - half, high=value + half, n=seen, method="standardised by level, normal 95%")


def _variance(passed: float, count: int) -> float:
    share = (passed + 1) / (count + 2)
    return share * (1 - share) / count
