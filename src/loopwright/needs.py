"""What a run needs persons for: asked when a cycle ends, obtained before the next one opens.

A halt that has to be lifted, a model that was held, a changed policy, a changed judge, a recipe that somebody proposed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loopwright.attempt import frozen
from loopwright.budgets import agreed
from loopwright.consent import Consent, describe
from loopwright.errors import HaltedError, RefusedError, WaitingForPerson
from loopwright.ledger.acts import Request
from loopwright.ledger.fold import CycleRecord, LoopState
from loopwright.ledger.quorum import Standing
from loopwright.planfile import parse_envelope
from loopwright.run import Run
from loopwright.signed import FILE as ENVELOPE
from loopwright.signed import signed_envelope
from loopwright.types import Digest, digest_bytes

__all__ = ["ask_after", "lift", "obtain_admission", "obtain_before", "pending_recipe", "waiting_for"]


def _consent(run: Run) -> Consent:
    return Consent(root=run.root, plan=run.plan, ledger=run.ledger)


def _done(state: LoopState, action: str, cycle: str) -> bool:
    """Has this been carried out for this cycle?"""
    asked = [one for one in state.acts.requests.values() if one.action == action and one.executed is not None]
    return any(one.said["details"].get("cycle") == cycle for one in asked)


def _last(state: LoopState) -> CycleRecord | None:
    return state.cycles[state.last] if state.last else None


def _resuming(state: LoopState) -> str | None:
    """Why the loop stands still, or None."""
    last = _last(state)
    if state.acts.halts:
        return f"the loop was halted: {state.acts.halts[-1].predicate['reason']}"
    if last and last.action == "halt" and not _done(state, "resume", last.cycle):
        return f"{last.cycle} halted the loop: {last.reasons[0] if last.reasons else 'no reason given'}"
    return None


def _promoting(state: LoopState) -> CycleRecord | None:
    """The last cycle, where its model was held and nobody has promoted it."""
    last = _last(state)
    held = last and last.action == "hold" and last.artifact("model") and not _done(state, "promote", last.cycle)
    return last if held else None


def waiting_for(run: Run) -> tuple[str, dict[str, Any], str] | None:
    """Action, details and reason of what the last cycle left to persons."""
    halted, held = _resuming(run.state), _promoting(run.state)
    if halted:
        return "resume", {}, halted
    if held:
        return "promote", {"cycle": held.cycle}, f"{held.cycle} is held: {held.reasons[0] if held.reasons else ''}"
    return None


def ask_after(run: Run) -> tuple[Request, Standing] | None:
    """When a cycle has closed: the request that its halt or hold needs."""
    left = waiting_for(run)
    if left is None:
        return None
    asked = _consent(run).requested(describe(run.root, run.plan, run.state, left[0], left[1]), run.launchers)
    run.refresh()
    return asked


def obtain_admission(run: Run) -> None:
    """Before anything is judged: what froze admission (a canary that came back wrong) has been answered for.

    Raises:
        WaitingForPerson: not yet.
        HaltedError: a person is against going on.
    """
    for failure in frozen(run.state):
        suspects = failure.get("suspects", {}).get("path", "the record")
        why = f"admission is frozen: {failure['message']}; {suspects} names the suspect verdicts"
        details = {"failure": failure["digest"], "cycle": failure["cycle"]}
        if _consent(run).obtain(describe(run.root, run.plan, run.state, "admission", details), run.launchers, why) is None:
            raise HaltedError(f"{why}; a person is against going on", "`loopwright propose --again ID` asks once more")
        run.refresh()


def obtain_before(run: Run) -> None:
    """Before a cycle opens: all that persons have to agree to, carried out; the run's state is the record's afterwards.

    Raises:
        WaitingForPerson: they have not answered yet.
        HaltedError: the loop is halted, and persons have not let it go on, or are against it.
        RefusedError: a person is against the change of policy or judge that lies here.
    """
    consent = _consent(run)
    run.refresh()
    consent.reveal(run.state)
    if left := waiting_for(run):
        action, details, why = left
        ask = describe(run.root, run.plan, run.state, action, details)
        if action == "promote":
            run.ledger.sign_checkpoint()  # for the witnesses, of what persons answered
        with _halting(action):
            said = consent.obtain(ask, run.launchers, why)
        if said is None and action == "resume":
            raise HaltedError(f"{why}; a person is against going on", "`loopwright propose --again ID` asks once more")
        run.refresh()
    for action, why in _changed(run.state, run):
        details = {"path": ENVELOPE} if action == "envelope" else {}
        if consent.obtain(describe(run.root, run.plan, run.state, action, details), run.launchers, why) is None:
            raise RefusedError(f"{why}; a person is against it", "put the old one back, or change it and ask again")
        run.refresh()


@contextmanager
def _halting(action: str) -> Iterator[None]:
    """A halt is a halt, whoever called it: a gate's stop rule ends the next run as a person's or a budget's does, by exit 6."""
    try:
        yield
    except WaitingForPerson as waits:
        if action != "resume":
            raise
        raise HaltedError(waits.message, waits.next_step) from None


def lift(consent: Consent, launchers: tuple[str, ...]) -> None:
    """Before anything begins: carry out what persons granted to end a freeze or a halt; ask them where nobody has."""
    consent.carry_out_granted("unfreeze", "resume")
    acts = consent.state().acts
    standing = {"unfreeze": bool(acts.freezes), "resume": bool(acts.halts) or not agreed(acts, consent.plan.budgets)}
    for action in (action for action, stands in standing.items() if stands):
        consent.requested(describe(consent.root, consent.plan, consent.state(), action), launchers)


def _changed(state: LoopState, run: Run) -> list[tuple[str, str]]:
    """What differs from the last cycle of this log, and was not agreed to since."""
    changed = list[tuple[str, str]]()
    closed = [record for record in state.cycles.values() if record.closed_at]
    ruled = [record for record in closed if record.policy]
    if ruled and ruled[-1].policy != run.plan.policy:
        changed.append(("policy", f"the policy in loop.yaml is not the one that {ruled[-1].cycle} was opened under"))
    envelope, file = signed_envelope(state), run.root / ENVELOPE
    if closed and file.is_file() and (signed := digest_bytes(file.read_bytes())) != envelope and not _none(file, envelope):
        changed.append(("envelope", f"{ENVELOPE} ({signed[:19]}) is not the envelope that persons signed"))
    [judge] = describe(run.root, run.plan, state, "judge").subjects
    if closed and closed[-1].pins.get("judge") != judge.digest:
        changed.append(("judge", f"the judge's code changed since {closed[-1].cycle}"))
    return changed


def _none(file: Path, signed: Digest | None) -> bool:
    """No envelope was ever signed, and none is asked for."""
    return signed is None and parse_envelope(file.read_text(encoding="utf-8"), ENVELOPE) is None


def pending_recipe(run: Run) -> dict[str, Any] | None:
    """The first proposed recipe that persons granted and no cycle has used, carried out; others wait."""
    consent, state = _consent(run), run.state
    used = {record.recipe["digest"] for record in state.cycles.values() if record.recipe}
    for request in state.acts.requests.values():
        if request.action != "recipe" or not request.subjects or request.subjects[0].digest in used:
            continue
        if consent.standing(request, state).status in {"granted", "executed"} and _lies_here(run.root, request):
            chosen = request.subjects[0]
            approval = consent.carry_out(request.id)
            run.refresh()
            return {"path": chosen.path, "digest": chosen.digest, "approval": approval}
    return None


def _lies_here(root: Path, request: Request) -> bool:
    """A diff that was granted once and changed or went away since is not tried."""
    [diff] = request.subjects
    path = root / diff.path
    return path.is_file() and bool(path.stat().st_size) and digest_bytes(path.read_bytes()) == diff.digest
