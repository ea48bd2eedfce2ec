"""``envelope.yaml``: the changes that persons determined beforehand, so that a promotion inside them needs no further signature.

The source is the EU AI Act, Regulation (EU) 2024/1689: of a system that goes on learning, changes to the system and its
performance that the provider pre-determined at the initial conformity assessment, and that the technical documentation
describes under Annex IV(2)(f), are no substantial modification (Article 43(4), recital 128). Whether a change is one is a
legal question that no program answers; this one says which rule a cycle kept and which it left.

Values only; `loopwright.gate.envelope` applies them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from loopwright.policy import Count, Section, Share

__all__ = ["SETTINGS", "Allowed", "Bound", "Envelope", "EnvelopeFile", "SignedEnvelope", "flat"]

SETTINGS = ("generator", "mix", "verifier", "trainer", "evaluator", "domain", "model")
"""Sections of the plan whose keys an envelope speaks of, besides ``recipe``: the ``cycle`` part of ``recipe.yaml``."""


class Bound(Section):
    """Between which values something has to be; both are allowed themselves."""

    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("a bound needs low or high")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Allowed(Section):
    """What a setting may become: a number within bounds, or one of some values."""

    low: float | None = None
    high: float | None = None
    values: tuple[Any, ...] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.values is None) == (self.low is None and self.high is None):
            raise ValueError("give either values, or low and high, or one of these two")
        return self


class Envelope(Section):
    """One signed set of limits. What it doesn't name may not change: a setting that is in no list is outside."""

    may_change: dict[str, Allowed] = Field(default_factory=dict)
    """Settings by dotted key, for example ``recipe.lr: {low: 0.0001, high: 0.003}``."""
    must_stay: dict[str, Any] = Field(default_factory=dict)
    """Settings that may not change, with the value that they have."""
    origins: tuple[Annotated[str, Field(min_length=1)], ...] = ("human", "model")
    """Where training rows may come from: ``human`` for the domain's own, ``model`` for those of this loop's models, and the
    ``origin`` of each of the plan's sources."""
    synthetic_share: Share = 1.0
    """Most of the archive that models may have written."""
    generation_depth: Count | None = None
    """Most models, one trained on what the one before it wrote, that may stand between a row and human data."""
    performance: dict[str, Bound] = Field(default_factory=dict)
    """By metric: ``gate`` (the headline's pass rate), ``slice:COLUMN=VALUE`` (``slice:level=5``), or a figure of the collapse card.
    The whole 95 % interval has to be within the bound, so chance brings nothing inside."""
    tests: dict[str, Count] = Field(default_factory=dict)
    """Figures of the collapse card that must have been measured, with the least n."""
    stop: dict[str, Bound] = Field(default_factory=dict)
    """Stop rules: a metric (named as above) with its whole interval outside the bound halts the loop."""


class EnvelopeFile(Section):
    """The whole file, where it does not say ``envelope: none``: then every promotion goes by the gate alone."""

    envelope: Envelope


class SignedEnvelope(Section):
    """The envelope that persons signed, as the decide phase sees it."""

    digest: str
    """Of the bytes of ``envelope.yaml`` that were signed."""
    envelope: Envelope
    settings: dict[str, Any]
    """This cycle's settings by dotted key, but for the recipe, which the card tells."""
    sources: tuple[str, ...] = ()
    """Origins of the plan's human data besides the domain's own."""
    generation: Count
    """Models of this loop that one after the other wrote for the next, up to the one that wrote this cycle's rows."""
    promote_inside: Literal["automatic", "person"]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested maps as one, by dotted keys; lists are values."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        found |= flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return found
