"""Results from the field: what a model did where it is used, signed by whoever measured it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from loopwright.clock import now, rfc3339
from loopwright.errors import UsageError
from loopwright.govern.requests import Desk
from loopwright.ledger.fold import LoopState
from loopwright.planfile import parse_as
from loopwright.policy import Count, Section
from loopwright.types import Artifact, digest_bytes

__all__ = ["Observation", "known_model", "observe"]


class Observation(Section):
    """One file of `loopwright observe`: YAML or JSON."""

    model: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|c\d{4,})$")]
    """Digest of a model on the record, or the cycle that trained it."""
    metric: Annotated[str, Field(min_length=1, max_length=200)]
    value: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    n: Count
    """Cases that were measured."""
    period: tuple[AwareDatetime, AwareDatetime]
    """First and last moment, with time zone."""
    source: Annotated[str, Field(min_length=1, max_length=2000)]
    """Who measured it, where and how."""
    laboratory: Literal["headline"] | None = None
    """``headline`` where the metric is the same as the suites' headline score, so that the difference means something."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"value {self.value} must lie within low {self.low} and high {self.high}")
        if self.period[0] > self.period[1]:
            raise ValueError("the period ends before it begins")
        return self


def observe(desk: Desk, file: Path, name: str | None = None) -> int:
    """Record a field result; the entry's index. The same file twice is one entry.

    Raises:
        PlanError: the file says what it may not, or cannot be read as text.
        UsageError: there is no such file, or no such model on the record.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "give a YAML or JSON file") from error
    seen = parse_as(Observation, data.decode("utf-8", errors="replace"), file.name)
    model = known_model(desk.consent.state(), seen.model)
    told = seen.model_dump(mode="json")
    start, end = (rfc3339(moment, "seconds") for moment in _utc(seen))
    predicate = {**told, "model": model.digest, "period": [start, end], "file": digest_bytes(data), "observed_at": now()}
    return desk.say("observation", [model], predicate, name, event=f"observation:{digest_bytes(data)}")


def _utc(seen: Observation) -> tuple[AwareDatetime, AwareDatetime]:
    from datetime import UTC

    return seen.period[0].astimezone(UTC), seen.period[1].astimezone(UTC)


def known_model(state: LoopState, wanted: str) -> Artifact:
    """The model of this digest, or of this cycle; UsageError where the record has none."""
    models = {name: made for name, record in state.cycles.items() if (made := record.artifact("model"))}
    for name, made in models.items():
        if wanted in {name, made.digest}:
            return made
    raise UsageError(
        f"the record has no model {wanted} (it has those of {', '.join(models) or 'no cycle'})", "`loopwright show c0003`"
    )
