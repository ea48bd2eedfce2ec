"""A promotion waits for those outside whom the policy names: a cosignature over the decision, or it is not made."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from loopwright.errors import IntegrityError, PlanError, WaitingForPerson
from loopwright.ledger.quorum import SKEW
from loopwright.ledger.refusals import unbroken
from loopwright.ledger.sightings import Sighting, broken, sightings
from loopwright.policy import Witnesses

__all__ = ["witnessed"]


def witnessed(root: Path, rule: Witnesses, since: int, decided_at: str, now: str, what: str) -> dict[str, Any]:
    """What the promoting entry keeps of who saw the log up to entry ``since``: the rule, and the cosignatures that let it.

    ``what`` is promoted by it; ``decided_at`` and ``now`` are RFC 3339. A checkpoint over ``since`` must have been signed before.

    Raises:
        IntegrityError: a witness has seen another log than this, or more of it.
        PlanError: a key of the policy is none.
        WaitingForPerson: not enough of them have looked; says how they do.
    """
    ledger = root / "ledger"
    unbroken(ledger)
    try:
        seen, bad = sightings(ledger, rule), broken(ledger, rule)
    except ValueError as error:
        raise PlanError(
            f"loop.yaml: approvals.witness.known: {error}", "give what `loopwright witness init` printed"
        ) from error
    if bad:
        raise IntegrityError(f"{bad[0].code}: {bad[0].where}: {bad[0].message}; a witness cosigned it", "loopwright verify")
    counted = [one for one in seen if one.size > since and _in_time(one, rule, decided_at, now)]
    if len(counted) < rule.required:
        names = ", ".join(key.partition("+")[0] for key in rule.known)
        raise WaitingForPerson(
            f"{what} waits for witnesses: {len(counted)} of {rule.required} (of {names}) have cosigned a checkpoint of more than "
            f"{since} entries within the last {rule.within_hours:g} hours",
            f"where a witness is: `loopwright witness cosign {root} --state ITS-FOLDER`, or on a copy of ledger/ with --out FILE and "
            "here `loopwright witness add FILE`; then run again",
        )
    told = [one.told() for one in counted[: rule.required]]
    return {"required": rule.required, "within_hours": rule.within_hours, "accepted": told}


def _in_time(one: Sighting, rule: Witnesses, decided_at: str, now: str) -> bool:
    """Neither before there was a decision, nor from the future, nor too long ago to say anything of today's log."""
    here, decided = datetime.fromisoformat(now), datetime.fromisoformat(decided_at)
    at = datetime.fromtimestamp(one.time, here.tzinfo)
    return max(decided, here - timedelta(hours=rule.within_hours)) - SKEW <= at <= here + SKEW
