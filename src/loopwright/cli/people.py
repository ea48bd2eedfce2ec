"""Verbs of persons: propose, answer, approve, reject, resume, unfreeze."""

from __future__ import annotations

import contextlib
import getpass
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

if TYPE_CHECKING:
    from loopwright.govern.requests import Desk

__all__ = ["As", "PassphraseFile", "at_desk", "passphrase", "register"]

As = Annotated[str | None, typer.Option("--as", help="Whose key signs: an enrolled name or key id.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File whose first line is the passphrase; asked at a terminal without it."),
]
Offline = Annotated[
    Path | None,
    typer.Option(
        "--offline", help="Write the signed answer to this file, and record nothing: `take` or the dashboard brings it in."
    ),
]
What = Annotated[
    str, typer.Argument(help="A request's id or its beginning, a file, or a sha256 digest that a request is about.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (propose, answer, approve, reject, resume, unfreeze):
        app.command()(verb)


def passphrase(file: Path | None) -> Any:
    """Asks for a passphrase: from the file, or at the terminal; UsageError where there is neither."""
    from loopwright.errors import UsageError

    def ask(what: str) -> bytes:
        if file is not None:
            if file.stat().st_mode & 0o077:
                raise UsageError(f"others may read {file}", f"chmod 600 {file}")
            return file.read_bytes().partition(b"\n")[0]
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(f"the {what} is needed, and there is no terminal to ask at", "--passphrase-file FILE")
        return getpass.getpass(f"{what}: ", stream=sys.stderr).encode()

    return ask


@contextlib.contextmanager
def at_desk(workspace: Path, file: Path | None = None) -> Iterator[Desk]:
    """The workspace's desk, where whoever types this asks, answers, or says something by themselves."""
    from loopwright.govern.requests import Desk
    from loopwright.workspace import find

    with Desk(find(workspace), passphrase(file)) as desk:
        yield desk


def propose(
    name: Annotated[str | None, typer.Option(help="Name of the proposal: recipes/NAME.diff.")] = None,
    envelope: Annotated[bool, typer.Option("--envelope", help="Ask persons to sign envelope.yaml as it is.")] = False,
    again: Annotated[str | None, typer.Option(help="Ask once more what this request asked.")] = None,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Turn your edit of recipe.yaml into a proposal and its request; when others have approved it the next cycle tries it."""
    from loopwright.errors import UsageError
    from loopwright.govern.approvals import propose as write
    from loopwright.workspace import find

    with at_desk(workspace, passphrase_file) as desk:
        if again is not None:
            before = desk.find(desk.consent.state(), again)
            made = desk.ask(before.action, before.said["details"], who)
        elif envelope:
            made = desk.ask("envelope", {"path": "envelope.yaml"}, who)
        elif name is not None:
            path = write(find(workspace), name)
            made = desk.ask("recipe", {"path": f"recipes/{path.name}"}, who)
        else:
            raise UsageError(
                "what is proposed?", "--name NAME for an edit of recipe.yaml, --envelope, --again ID for an earlier request"
            )
    if as_json:
        emit({"schema_version": 1, "request": made})
    else:
        commit = f"git add recipes/{name}.diff && git commit -m 'propose {name}' && " if name else ""
        sys.stdout.write(f"request {made[7:19]} is made. Next: {commit}somebody else types `loopwright approve {made[7:19]}`\n")


def resume(
    who: As = None, passphrase_file: PassphraseFile = None, workspace: WorkspaceOption = Path(), as_json: AsJson = False
) -> None:
    """Ask persons to let a halted loop go on; typed again after they have, it lifts the halt (so does `loopwright run`)."""
    _lift("resume", who, passphrase_file, workspace, as_json=as_json)


def unfreeze(
    who: As = None, passphrase_file: PassphraseFile = None, workspace: WorkspaceOption = Path(), as_json: AsJson = False
) -> None:
    """Ask persons to lift a freeze, which needs the strict quorum; typed again after they have, it is lifted."""
    _lift("unfreeze", who, passphrase_file, workspace, as_json=as_json)


def _lift(action: str, who: str | None, secret: Path | None, workspace: Path, *, as_json: bool) -> None:
    from loopwright.errors import WaitingForPerson

    with at_desk(workspace, secret) as desk:
        request, found = desk.lift(action, {}, who)
        row = desk.row(request, found, desk.consent.state())
    short = request.id[7:19]
    if as_json:
        emit({"schema_version": 1, **row})
    elif found.status == "executed":
        sys.stdout.write(f"{action}: done by entry {request.executed}\n")
    if found.status != "executed":
        lacks = "; ".join((*found.missing, *found.reasons))
        raise WaitingForPerson(
            f"request {short} ({action}) is {found.status}: {lacks}", f"`loopwright approve {short}`, then this again"
        )


def answer(
    what: Annotated[
        str | None, typer.Argument(help="A request to look at, or a report's field; all open requests without it.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Answer the field with these words (plain text).")] = None,
    file: Annotated[list[Path] | None, typer.Option(help="Attach a file to the answer; more than once for several.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm the facts that the record fills the field with.")] = False,
    not_applicable: Annotated[str | None, typer.Option(help="Say that the field does not apply, and why.")] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Withdraw the answer that stands.")] = False,
    about: Annotated[
        str | None, typer.Option(help="A cycle or an incident; without it the answer stands for the whole loop.")
    ] = None,
    document: Annotated[
        str | None, typer.Option(help="The document whose field it is, where several have one of this id.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also requests that are over.")] = False,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """List what waits for persons, show one request as it would be signed, or answer a field of a report."""
    from loopwright.cli import answers

    said = answers.Said(text, tuple(file or ()), confirm, not_applicable, withdraw)
    if what is not None and (said.given or answers.is_field(workspace, what)):
        answers.tell(what, said, about, document, who, passphrase(passphrase_file), workspace, as_json=as_json)
        return
    with at_desk(workspace) as desk:
        state = desk.consent.state()
        if what is None:
            rows = desk.listed(state, every=every)
            if as_json:
                emit({"schema_version": 1, "requests": rows})
            else:
                _list(rows)
            return
        request = desk.find(state, what)
        shown = desk.show(request, state)
        desk.opened(request)
        row = desk.row(request, shown.standing, state)
    if as_json:
        emit({"schema_version": 1, **row, "signed": dict(shown.fields())})
    else:
        _show(row, shown.fields())


def approve(
    what: What,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    who: As = None,
    passphrase_file: PassphraseFile = None,
    offline: Offline = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Sign a request's exact bytes with your key. It's carried out when enough persons have, by the next `loopwright run`."""
    _either(what, reason, who, passphrase_file, workspace, offline, approves=True, as_json=as_json)


def reject(
    what: What,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    who: As = None,
    passphrase_file: PassphraseFile = None,
    offline: Offline = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Sign a veto: one person's no is final for this request."""
    _either(what, reason, who, passphrase_file, workspace, offline, approves=False, as_json=as_json)


def _either(
    what: str, reason: str, who: str | None, secret: Path | None, workspace: Path, offline: Path | None, *, approves: bool, as_json: bool
) -> None:  # fmt: skip
    if offline is None:
        _answer(what, reason, who, secret, workspace, approves=approves, as_json=as_json)
        return
    from loopwright.govern.letters import answer_letter, sign

    with at_desk(workspace, secret) as desk:
        state = desk.consent.state()
        request = desk.find(state, what)
        principal, hand = desk.answering(request, state, who)
        desk.answerable(request, state, principal, approves=approves)
        opened_at = desk.opened_at(request)
        letter = answer_letter(desk, request, principal.id, approves=approves, reason=reason, opened_at=opened_at)
        offline.write_bytes(sign(letter, hand))
    if as_json:
        emit({"schema_version": 1, "request": request.id, "signed": str(offline), "key": principal.id})
    else:
        sys.stdout.write(
            f"{offline}\nNext: upload it on the page Decisions, or `loopwright take {offline.name}` where the loop runs\n"
        )


def _answer(
    what: str, reason: str, who: str | None, secret: Path | None, workspace: Path, *, approves: bool, as_json: bool
) -> None:

    with at_desk(workspace, secret) as desk:
        request = desk.find(desk.consent.state(), what)
        index = desk.answer(request, approves=approves, name=who, reason=reason)
        state = desk.consent.state()
        row = desk.row(state.acts.requests[request.id], desk.consent.standing(state.acts.requests[request.id], state), state)
    if as_json:
        emit({"schema_version": 1, **row, "leaf": index})
        return
    mine = row["answers"][-1]
    note = f" ({mine['note']})" if mine["note"] else ""
    sys.stdout.write(
        f"{mine['by']}{note} said {'yes' if approves else 'no'} to {row['request'][7:19]} (entry {index}): {row['status']}"
    )
    sys.stdout.write(f", which still lacks {'; '.join(row['missing'])}\n" if row["missing"] else "\n")


def _list(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        details = ", ".join(f"{name} {value}" for name, value in row["details"].items() if value)
        lacks = f", lacks {'; '.join((*row['missing'], *row['reasons']))}" if row["missing"] else ""
        sys.stdout.write(
            f"{row['request'][7:19]}  {row['action']} {details}: {row['status']}{lacks} (expires {row['expires_at']})\n"
        )
        for told in row["answers"]:
            note = f" ({told['note']})" if told["note"] else ""
            sys.stdout.write(f"  {told['answer']} by {told['by']}{note}, entry {told['leaf']}\n")
    if not rows:
        sys.stdout.write("nothing waits for a person\n")


def _show(row: Mapping[str, Any], fields: list[tuple[str, str]]) -> None:
    """The signed fields and no others between the lines; what is worked out stands after them."""
    sys.stdout.write(f"request {row['request']}: the bytes that an answer signs say\n{'-' * 40}\n")
    for name, value in fields:
        sys.stdout.write(f"{name}: {value}\n")
    sys.stdout.write(f"{'-' * 40}\n")
    _list([dict(row)])
