"""What the built-in domains share: how a task gets its id, how a count is split over levels, how settings are checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random

from loopwright.types import Check, Task, digest_value

__all__ = ["level_draws", "make_task", "whole"]


def make_task(
    domain: str, *, prompt: str, level: int, signature: str, checks: Mapping[str, Check], slices: Mapping[str, str]
) -> Task:
    """A task whose id is the digest of domain, prompt and checks, 16 hex digits."""
    plain = {name: {"inputs": check.inputs, "outputs": check.outputs} for name, check in checks.items()}
    digest = digest_value({"domain": domain, "prompt": prompt, "checks": plain}).removeprefix("sha256:")
    return Task(id=digest[:16], prompt=prompt, level=level, signature=signature, checks=checks, slices=slices)


def level_draws(rng: Random, count: int, weights: Mapping[int, float]) -> list[int]:
    """``count`` levels in random order, as many of each as its share of the weights says (largest remainders).

    Raises:
        ValueError: a weight is negative or not finite, or none is positive.
    """
    total = math.fsum(weights.values())
    if any(not (math.isfinite(weight) and weight >= 0) for weight in weights.values()) or total <= 0:
        raise ValueError(f"weights must be finite, none negative and one positive, not {dict(weights)}")
    exact = {level: count * weight / total for level, weight in sorted(weights.items())}
    shares = {level: int(share) for level, share in exact.items()}
    neediest = sorted(exact, key=lambda level: (shares[level] - exact[level], level))
    for level in neediest[: count - sum(shares.values())]:
        shares[level] += 1
    levels = [level for level, share in shares.items() for _ in range(share)]
    return sorted(levels, key=lambda _: rng.random())


def whole(name: str, value: object, least: int, most: int) -> None:
    """Refuse a setting that is not a whole number from ``least`` to ``most``: TypeError or ValueError."""
    if type(value) is not int:
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value}")
