"""What a zygote's candidates really get, measured before it is given any work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from loopwright.errors import InfraError
from loopwright.sandbox import Limits
from loopwright.sandbox.probe import level_of, missing, probe_job, reaches
from loopwright.sandbox.wire import outcome_of
from loopwright.sandbox.worker import Lost, Worker
from loopwright.types import Level

__all__ = ["measured"]

_CHECK = "see whether the limits of a candidate are too low for this machine"
_REMEDY = "`loopwright doctor` says what this machine lacks; a person may lower verifier.minimum_level in loop.yaml"


def measured(worker: Worker, floor: Level, limits: Limits) -> Level:
    """Wait for a zygote and have it run the probe as its first job; the level that it reaches.

    Raises:
        InfraError: it doesn't start, the probe fails, or the level is below ``floor``; says what is missing.
    """
    facts = _facts(worker, limits)
    level = level_of(facts, limits)
    if not reaches(level, floor):
        lacking = ", ".join(missing(floor, facts, limits))
        raise InfraError(f"candidates get {level}, {floor} is asked for; missing: {lacking}", _REMEDY)
    return level


def _facts(worker: Worker, limits: Limits) -> Mapping[str, Any]:
    worker.ready()
    try:
        flight = worker.launch(0, probe_job(os.getpid()), attempt=1)
        report = worker.awaited()
    except Lost:
        raise InfraError("the sandbox ended while it was probed", _CHECK) from None
    flight.receive(limits)
    worker.flights.popleft()
    flight.channel.close()
    outcome = outcome_of(report, bytes(flight.received), flight.job, limits, "SL0")
    if outcome.status != "PASS":
        raise InfraError(f"the sandbox's probe of itself ended with {outcome.status} {outcome.detail}".rstrip(), _CHECK)
    ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in worker.namespaces}
    differs = {kind: name != ours[kind] for kind, name in worker.namespaces.items()}
    return {**outcome.outputs[0], "namespaces": differs}
