"""`loopwright incident`: what persons sign about a serious incident or a near miss, and the clocks that run for it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit
from loopwright.cli.people import As, PassphraseFile, passphrase

if TYPE_CHECKING:
    from loopwright.report.law import Clock
    from loopwright.workspace import Workspace

__all__ = ["register"]

Id = Annotated[str, typer.Argument(help="The incident: inc-…, or the beginning of that.")]
Kind = Annotated[str, typer.Option(help="gpai (general-purpose model with systemic risk) or art73 (high-risk system).")]
Moment = Annotated[str | None, typer.Option(help="With its time zone, for example 2026-11-25T10:00:00Z.")]
Harm = Annotated[
    str | None, typer.Option(help="Class of the harm; the clocks differ by it. Each clock is shown until it is told.")
]
Yes = Annotated[bool | None, typer.Option(help="Told only where one of the two is given.")]
Land = Annotated[list[str] | None, typer.Option("--member-state", help="ISO 3166 code; may be given more than once.")]
Model = Annotated[str | None, typer.Option(help="The model: a cycle, or its digest.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    group = typer.Typer(
        help="Serious incidents and near misses, with their clocks.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("open")(open_one)
    group.command()(update)
    group.command()(close)
    group.command("list")(show)
    app.add_typer(group, name="incident")


def open_one(
    kind: Kind,
    aware_at: Annotated[str, typer.Option(help="When you became aware of it, with its time zone: clocks run from here.")],
    started_at: Moment = None,
    ended_at: Moment = None,
    deployer_aware_at: Moment = None,
    causal_link_at: Moment = None,
    harm: Harm = None,
    near_miss: Yes = None,
    internal_use: Yes = None,
    imminent_danger: Yes = None,
    member_state: Land = None,
    model: Model = None,
    freeze: Annotated[
        bool | None, typer.Option(help="Freeze the workspace, so that causes stay findable; asked at a terminal.")
    ] = None,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Open an incident in your name. What happened is told in answers (`loopwright answer … --about inc-…`), which can be erased."""
    from loopwright.govern.halt import freeze as stop
    from loopwright.govern.incident import open_incident
    from loopwright.govern.requests import Desk
    from loopwright.workspace import find

    told = _told(locals(), kind=kind)
    found = find(workspace)
    _check_harm(found, kind, harm)
    with Desk(found, passphrase(passphrase_file)) as desk:
        made = open_incident(desk, told, who)
        frozen = stop(desk, f"incident {made}", who, made) if _wants_freeze(freeze) else None
        row = _rows(found, desk.consent.state(), made)[0]
    if as_json:
        emit({"schema_version": 1, **row, "freeze": frozen})
        return
    _print(row)
    if frozen is None:
        sys.stdout.write(f"nothing is frozen: `loopwright incident update {made} --freeze` keeps what could tell the cause\n")
    else:
        sys.stdout.write(f"frozen by entry {frozen}: nothing is altered until persons lift it (`loopwright unfreeze`)\n")


def update(
    incident: Id,
    aware_at: Moment = None,
    started_at: Moment = None,
    ended_at: Moment = None,
    deployer_aware_at: Moment = None,
    causal_link_at: Moment = None,
    resolved_at: Moment = None,
    harm: Harm = None,
    near_miss: Yes = None,
    internal_use: Yes = None,
    imminent_danger: Yes = None,
    member_state: Land = None,
    model: Model = None,
    report: Annotated[str | None, typer.Option(help="A report was sent: initial, intermediate or final.")] = None,
    sent_at: Moment = None,
    recipient: Annotated[str | None, typer.Option(help="The authority that it was sent to; no natural person.")] = None,
    receipt: Annotated[str | None, typer.Option(help="Its file number, or the digest of what it answered.")] = None,
    under: Annotated[str, typer.Option(help="Under which regime: eu, california, new-york.")] = "eu",
    freeze: Annotated[bool, typer.Option("--freeze", help="Freeze the workspace for this incident.")] = False,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Tell more about an incident, or that a report was sent. What was told before stays on the record."""
    from loopwright.govern.halt import freeze as stop
    from loopwright.govern.incident import find_incident, update_incident
    from loopwright.govern.requests import Desk
    from loopwright.workspace import find

    told = _told(locals(), report=_report(report, sent_at, recipient, receipt, under))
    found = find(workspace)
    with Desk(found, passphrase(passphrase_file)) as desk:
        known = find_incident(desk.consent.state(), incident)
        _check_harm(found, known.kind, harm)
        if any(told.values()) or not freeze:
            update_incident(desk, known.id, told, who)
        if freeze:
            stop(desk, f"incident {known.id}", who, known.id)
        row = _rows(found, desk.consent.state(), known.id)[0]
    _show([row], as_json=as_json)


def close(
    incident: Id,
    resolved_at: Moment = None,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Say that an incident is over. A freeze stays until persons lift it."""
    from loopwright.govern.incident import close_incident, find_incident
    from loopwright.govern.requests import Desk
    from loopwright.workspace import find

    found = find(workspace)
    with Desk(found, passphrase(passphrase_file)) as desk:
        known = find_incident(desk.consent.state(), incident)
        close_incident(desk, known.id, {"resolved_at": resolved_at}, who)
        row = _rows(found, desk.consent.state(), known.id)[0]
    _show([row], as_json=as_json)


def show(
    every: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """The incidents that are open, with what is due when, and what is left of it now."""
    from loopwright.workspace import find

    found = find(workspace)
    rows = [row for row in _rows(found, found.state()) if every or not row["closed_at"]]
    _show(rows, as_json=as_json)


_TOLD = (
    *("aware_at", "started_at", "ended_at", "deployer_aware_at", "causal_link_at", "resolved_at", "harm"),
    *("near_miss", "internal_use", "imminent_danger", "model"),
)


def _told(given: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {**{name: given.get(name) for name in _TOLD}, "member_states": given.get("member_state"), **more}


def _report(form: str | None, sent_at: str | None, recipient: str | None, receipt: str | None, under: str) -> Any:
    from loopwright.errors import UsageError

    if form is None:
        if sent_at or recipient or receipt:
            raise UsageError("which report was sent?", "--report initial, intermediate or final")
        return None
    if not (sent_at and recipient):
        raise UsageError("when was the report sent, and to whom?", "--sent-at TIME --recipient AUTHORITY")
    return {"form": form, "sent_at": sent_at, "recipient": recipient, "receipt": receipt, "under": under}


def _clocks(workspace: Workspace) -> tuple[Clock, ...]:
    from loopwright.report.clocks import read_clocks
    from loopwright.report.law import law_of

    return read_clocks(law_of(workspace.root))


def _check_harm(workspace: Workspace, kind: str, harm: str | None) -> None:
    from loopwright.errors import UsageError
    from loopwright.report.clocks import harms

    known = harms(_clocks(workspace), kind)
    if harm is not None and harm not in known:
        raise UsageError(f"{harm!r} is no class of harm of {kind}", f"one of: {', '.join(known)}")


def _wants_freeze(told: bool | None) -> bool:
    if told is None and sys.stdin.isatty() and sys.stderr.isatty():
        return typer.confirm("Freeze the workspace, so that nothing that could tell the cause is altered?", err=True)
    return bool(told)


def _rows(workspace: Workspace, state: Any, only: str | None = None) -> list[dict[str, Any]]:
    from loopwright.clock import now
    from loopwright.ledger.incidents import incidents
    from loopwright.report.clocks import due_dates, incident_row

    clocks, at = _clocks(workspace), now()
    found = [one for name, one in incidents(state.acts.incidents).items() if only in {None, name}]
    return [incident_row(one, due_dates(one, clocks), at) for one in found]


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        emit({"schema_version": 1, "incidents": rows})
        return
    for row in rows:
        _print(row)
    if not rows:
        sys.stdout.write("no incident is open\n")


def _print(row: Mapping[str, Any]) -> None:
    facts = row["facts"]
    what = "near miss" if facts.get("near_miss") else facts.get("harm") or "class of harm not chosen"
    over = f", closed {row['closed_at']}" if row["closed_at"] else ""
    entries = ", ".join(map(str, row["leaves"]))
    sys.stdout.write(f"{row['id']}  {facts['kind']}, {what}; aware {facts['aware_at']}{over} (entries {entries})\n")
    for due in row["clocks"]:
        open_class = "" if due["chosen"] else f" if {' or '.join(due['harm'])}"
        sys.stdout.write(f"  {due['report']} report ({due['under']}, {due['ref']}){open_class}: {_when(due)}\n")


def _when(due: Mapping[str, Any]) -> str:
    if due["state"] == "waiting":
        return f"waits for {due['from'].removesuffix('_at').replace('_', ' ')}"
    if due["due_at"] is None:
        return f"ended {due['met_at']}"
    days, rest = divmod(abs(due["left_s"]), 86_400)
    span = f"{days} d {rest // 3600} h"
    if due["state"] == "met":
        return f"due {due['due_at']}, sent {due['met_at']}{'' if due['left_s'] >= 0 else f', {span} late'}"
    return f"due {due['due_at']}, {f'{span} left' if due['left_s'] >= 0 else f'OVERDUE by {span}'}"
