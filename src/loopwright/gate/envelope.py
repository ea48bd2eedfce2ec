"""A challenger under the envelope: which rules it keeps and which it leaves. A pure function of the envelope and of evidence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from loopwright.gate.rule import Ruling
from loopwright.intervals import wilson

if TYPE_CHECKING:
    import polars as pl

    from loopwright.envelope import Allowed, Bound, Envelope, SignedEnvelope
    from loopwright.types import Score

__all__ = ["Facts", "Verdict", "facts_of", "judge", "under_envelope"]

Interval = Mapping[str, Any]
"""``value``, ``low``, ``high`` and ``n`` of something that was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a cycle is judged by."""

    settings: Mapping[str, Any]
    """By dotted key, the recipe among them."""
    origins: tuple[str, ...]
    """Of the archive's rows."""
    synthetic_share: float | None
    """Of the archive; None where it was not measured."""
    generation: int
    metrics: Mapping[str, Interval | None]
    """Card figures, ``gate`` and ``slice:…``; None where one was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Inside where ``left`` is empty."""

    left: tuple[str, ...]
    """Rules that were left, as sentences with their numbers."""
    stops: tuple[str, ...]
    """Stop rules that were broken."""


def facts_of(force: SignedEnvelope, card: Mapping[str, Any] | None, table: pl.DataFrame, headline: tuple[int, int]) -> Facts:
    """Facts from the decide phase's inputs; what the card does not tell was not measured, and is nowhere inside."""
    said = card or {}
    data = said.get("data") or {}
    recipe = {f"recipe.{name}": value for name, value in (said.get("recipe") or {}).items()}
    share = (said.get("figures") or {}).get("synthetic_share")
    within = table.filter((table["level"] >= headline[0]) & (table["level"] <= headline[1]))
    return Facts(
        settings={**force.settings, **recipe},
        origins=(*data.get("origins", ("unknown",)), *force.sources),
        synthetic_share=share["value"] if share else None,
        generation=force.generation,
        metrics={**(said.get("figures") or {}), "gate": _rate(within), **_slices(table)},
    )


def judge(envelope: Envelope, facts: Facts) -> Verdict:
    """Every rule of the envelope, in the order in which the file has them."""
    left = (*_settings(envelope, facts), *_data(envelope, facts), *_performance(envelope, facts), *_tests(envelope, facts))
    stops = tuple(
        f"envelope: stop rule {name}: {_shown(metric)} is wholly outside {_range(bound)}"
        for name, bound in envelope.stop.items()
        if (metric := facts.metrics.get(name)) is not None and not _touches(metric, bound)
    )
    return Verdict(left=left, stops=stops)


def under_envelope(ruling: Ruling, force: SignedEnvelope, verdict: Verdict) -> Ruling:
    """The ruling with what the envelope says: it can only hold what the gate would promote, or halt."""
    unpromoted = ruling.unpromoted or ruling.history
    if verdict.stops:
        return replace(ruling, action="halt", reasons=(*verdict.stops, *ruling.reasons), history=unpromoted)
    if ruling.action != "promote":
        return ruling
    if verdict.left:
        return replace(ruling, action="hold", reasons=(*ruling.reasons, *verdict.left), history=unpromoted)
    inside = f"inside the envelope that persons signed ({force.digest[:19]})"
    if force.promote_inside == "person":
        waits = f"{inside}; the policy asks a person for each promotion"
        return replace(ruling, action="hold", reasons=(*ruling.reasons, waits), history=unpromoted)
    return replace(ruling, reasons=(*ruling.reasons, inside))


def _settings(envelope: Envelope, facts: Facts) -> Iterator[str]:
    for key, value in facts.settings.items():
        allowed = envelope.may_change.get(key)
        if allowed is not None:
            if not _permits(allowed, value):
                yield f"envelope: may_change {key}: {_told(value)} is not within {_permitted(allowed)}"
        elif key not in envelope.must_stay:
            yield f"envelope: {key} is {_told(value)}, and the envelope does not foresee it"
        elif not _same(envelope.must_stay[key], value):
            yield f"envelope: must_stay {key}: {_told(value)} instead of {_told(envelope.must_stay[key])}"
    for key in (*envelope.may_change, *envelope.must_stay):
        if key not in facts.settings:
            yield f"envelope: {key} is foreseen, and nothing tells what it is"


def _data(envelope: Envelope, facts: Facts) -> Iterator[str]:
    for origin in facts.origins:
        if origin not in envelope.origins:
            yield f"envelope: origins: rows of origin {origin!r}; allowed: {', '.join(envelope.origins) or 'none'}"
    share = facts.synthetic_share
    if share is None or share > envelope.synthetic_share:
        said = "was not measured" if share is None else f"{share:.4f}"
        yield f"envelope: synthetic_share {said}; at most {envelope.synthetic_share:g}"
    depth = envelope.generation_depth
    if depth is not None and facts.generation > depth:
        yield f"envelope: generation_depth {facts.generation}; at most {depth}"


def _performance(envelope: Envelope, facts: Facts) -> Iterator[str]:
    for name, bound in envelope.performance.items():
        metric = facts.metrics.get(name)
        if metric is None:
            yield f"envelope: performance {name} was not measured"
        elif not _within(metric, bound):
            yield f"envelope: performance {name}: {_shown(metric)} is not wholly within {_range(bound)}"


def _tests(envelope: Envelope, facts: Facts) -> Iterator[str]:
    for name, least in envelope.tests.items():
        metric = facts.metrics.get(name)
        if metric is None or metric["n"] < least:
            yield f"envelope: tests {name}: {'not run' if metric is None else 'n = ' + str(metric['n'])}; at least n = {least}"


def _permits(allowed: Allowed, value: Any) -> bool:
    if allowed.values is not None:
        return any(_same(value, each) for each in allowed.values)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (allowed.low is None or value >= allowed.low) and (allowed.high is None or value <= allowed.high)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON, where 1 and 1.0 are one number and true is none."""
    return _plain(one) == _plain(other)


def _plain(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return json.dumps(int(value) if whole else value, sort_keys=True)


def _within(metric: Interval, bound: Bound) -> bool:
    return (bound.low is None or metric["low"] >= bound.low) and (bound.high is None or metric["high"] <= bound.high)


def _touches(metric: Interval, bound: Bound) -> bool:
    return (bound.low is None or metric["high"] >= bound.low) and (bound.high is None or metric["low"] <= bound.high)


def _rate(table: pl.DataFrame) -> Interval | None:
    return _interval(wilson(list(table["passed"]))) if table.height else None


def _interval(score: Score | None) -> Interval | None:
    return None if score is None else {"value": score.value, "low": score.low, "high": score.high, "n": score.n}


def _slices(table: pl.DataFrame) -> dict[str, Interval | None]:
    found: dict[str, list[bool]] = {}
    texts = table["slices"] if "slices" in table.columns else [""] * table.height
    for level, text, passed in zip(table["level"], texts, table["passed"], strict=True):
        for column, value in {"level": level, **json.loads(text or "{}")}.items():
            found.setdefault(f"slice:{column}={value}", []).append(bool(passed))
    return {name: _interval(wilson(results)) for name, results in sorted(found.items())}


def _shown(metric: Interval) -> str:
    return f"{metric['value']:.3f} ({metric['low']:.3f} to {metric['high']:.3f}, n = {metric['n']})"


def _range(bound: Bound) -> str:
    return f"{'-inf' if bound.low is None else f'{bound.low:g}'} to {'inf' if bound.high is None else f'{bound.high:g}'}"


def _permitted(allowed: Allowed) -> str:
    if allowed.values is not None:
        return _told(list(allowed.values))
    return (
        f"{'-inf' if allowed.low is None else f'{allowed.low:g}'} to {'inf' if allowed.high is None else f'{allowed.high:g}'}"
    )


def _told(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
