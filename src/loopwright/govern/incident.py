"""Serious incidents and near misses: what a person signs about one, from its opening to its end.

An entry tells times, classes and reports that were sent, and no more: what happened and to whom is said in answers, whose bytes can
be erased (`loopwright answer FIELD --about inc-…`). Which clocks run is data (`reports/law.yaml`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from loopwright.clock import now
from loopwright.errors import UsageError
from loopwright.govern.observe import known_model
from loopwright.govern.requests import Desk
from loopwright.ledger.fold import LoopState
from loopwright.ledger.incidents import Incident, incidents
from loopwright.planfile import parse_as
from loopwright.policy import Section

__all__ = ["Report", "Told", "close_incident", "find_incident", "open_incident", "update_incident"]

_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")]
_Land = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


def _once(lands: list[str]) -> list[str]:
    return sorted(set(lands))


class Report(Section):
    """A report that was sent to an authority."""

    form: Literal["initial", "intermediate", "final"]
    sent_at: AwareDatetime
    recipient: Annotated[str, Field(min_length=1, max_length=200)]
    """The authority: no natural person."""
    receipt: Annotated[str, Field(max_length=200)] | None = None
    """What the authority answered: its file number, or the digest of what it sent."""
    under: _Word = "eu"
    """The regime that it was sent under, as `reports/law.yaml` names it."""


class Told(Section):
    """What one entry tells. What is None is not told by it: what an earlier one told stands."""

    kind: Literal["gpai", "art73"] | None = None
    """``gpai``: of a general-purpose model with systemic risk; ``art73``: of a high-risk system. Told at the opening, and kept."""
    started_at: AwareDatetime | None = None
    """When it began, or the best approximation."""
    ended_at: AwareDatetime | None = None
    aware_at: AwareDatetime | None = None
    """When the provider became aware of it; told at the opening."""
    deployer_aware_at: AwareDatetime | None = None
    causal_link_at: AwareDatetime | None = None
    """When a causal link, or its reasonable likelihood, was established."""
    resolved_at: AwareDatetime | None = None
    harm: _Word | None = None
    """The word of `reports/law.yaml` for the class of the harm, by which clocks differ: chosen by a person."""
    near_miss: bool | None = None
    internal_use: bool | None = None
    """Is it associated with a use of the model within the organisation alone?"""
    imminent_danger: bool | None = None
    """Is there an imminent danger of death or serious injury?"""
    member_states: Annotated[list[_Land], AfterValidator(_once)] | None = None
    """ISO 3166 codes of where it happened."""
    model: Annotated[str, Field(pattern=r"^(sha256:[0-9a-f]{64}|c\d{4,})$")] | None = None
    """Digest of a model on the record, or the cycle that trained it."""
    report: Report | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.started_at and self.ended_at and self.started_at > self.ended_at:
            raise ValueError("the incident ends before it begins")
        return self


def open_incident(desk: Desk, told: Mapping[str, Any], name: str | None = None) -> str:
    """Open one; its id.

    Raises:
        PlanError: what is told is not possible, or has no ``kind`` or no ``aware_at``.
        UsageError: no such model is on the record.
    """
    if missing := [word for word in ("kind", "aware_at") if told.get(word) is None]:
        raise UsageError(f"an incident is opened with its {' and '.join(missing)}", "`loopwright incident open --help`")
    made = f"inc-{uuid.uuid4().hex[:8]}"
    _say(desk, made, "open", _read(told), name)
    return made


def update_incident(desk: Desk, incident: str, told: Mapping[str, Any], name: str | None = None) -> int:
    """Tell more of one that is open, or that a report was sent; the entry's index.

    Raises:
        PlanError: what is told is not possible.
        UsageError: nothing is told, or the incident is not known or over, or is of another kind.
    """
    before = _open_one(desk.consent.state(), incident)
    facts = _read(told)
    if not facts:
        raise UsageError("nothing is told", "`loopwright incident update --help`")
    if facts.get("kind", before.kind) != before.kind:
        raise UsageError(f"{incident} is of the kind {before.kind}", "open another for the other kind: its clocks differ")
    return _say(desk, before.id, "update", facts, name)


def close_incident(desk: Desk, incident: str, told: Mapping[str, Any], name: str | None = None) -> int:
    """Say that one is over; the entry's index. Errors as of `update_incident`, but nothing has to be told."""
    before = _open_one(desk.consent.state(), incident)
    return _say(desk, before.id, "close", _read(told), name)


def find_incident(state: LoopState, incident: str) -> Incident:
    """The incident of this id, or of this beginning of one; UsageError where there is none, or more than one."""
    known = incidents(state.acts.incidents)
    found = [one for one in known if one == incident or one.startswith(incident)]
    if len(found) != 1:
        raise UsageError(f"the record has {len(found) or 'no'} incidents {incident}", "`loopwright incident list`")
    return known[found[0]]


def _open_one(state: LoopState, incident: str) -> Incident:
    found = find_incident(state, incident)
    if found.closed_at:
        raise UsageError(f"{found.id} was closed at {found.closed_at}", "open another where it goes on")
    return found


def _read(told: Mapping[str, Any]) -> dict[str, Any]:
    """Checked and as it is signed: times in UTC, nothing that was not told."""
    given = {word: value for word, value in told.items() if value not in (None, [], "")}
    return _utc(parse_as(Told, json.dumps(given), "incident").model_dump(exclude_none=True))


def _utc(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _utc(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return value


def _say(desk: Desk, incident: str, act: str, facts: Mapping[str, Any], name: str | None) -> int:
    subjects = [] if "model" not in facts else [known_model(desk.consent.state(), facts["model"])]
    told = {**facts, **({"model": subjects[0].digest} if subjects else {})}
    index = desk.say("incident", subjects, {"incident": incident, "act": act, "facts": told, "told_at": now()}, name)
    desk.cover()
    return index
