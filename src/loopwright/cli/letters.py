"""Verbs for what is signed elsewhere: sign a letter where the key is, take in what was signed; and the daily digest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit
from loopwright.cli.people import PassphraseFile, at_desk, passphrase

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (sign, take, digest):
        app.command()(verb)


def sign(
    letter: Annotated[Path, typer.Argument(help="What the dashboard gave you to sign.")],
    out: Annotated[Path | None, typer.Option(help="Where the signed letter goes; LETTER with .signed by default.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Sign a letter with the key that it is for, which lies here; it shows all that is signed, and needs no workspace."""
    from loopwright.govern.letters import read_letter
    from loopwright.govern.letters import sign as make
    from loopwright.ledger.hands import hand_with

    told = read_letter(letter.read_bytes())
    if not as_json:
        for name, value in told.fields():
            sys.stderr.write(f"{name}: {value}\n")
    place = out or letter.with_suffix(".signed")
    place.write_bytes(make(told, hand_with(told.workspace, told.keyid, passphrase(passphrase_file))))
    if as_json:
        emit({"schema_version": 1, "signed": str(place), "key": told.keyid})
    else:
        sys.stdout.write(
            f"{place}\nNext: upload it on the page it came from, or `loopwright take {place.name}` in the workspace\n"
        )


def take(
    file: Annotated[Path, typer.Argument(help="A signed letter: of `loopwright sign`, or `approve --offline`.")],
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Record what a person signed elsewhere. Who brings it has no say: it's checked like what is typed here."""
    from loopwright.govern.intake import take as bring

    with at_desk(workspace) as desk:
        taken = bring(desk, file.read_bytes())
    if as_json:
        emit({"schema_version": 1, "kind": taken.kind, "leaf": taken.index, "request": taken.request})
    else:
        sys.stdout.write(f"{taken.kind} is entry {taken.index}; `loopwright status` says what now stands\n")


def digest(
    hours: Annotated[float, typer.Option(min=0.1, help="How far back.")] = 24.0,
    send: Annotated[bool, typer.Option("--send", help="Send it where alerts are sent to, by mail or chat.")] = False,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """The loop's last day as a few lines of text, for a mail or a chat; a timer may call it with --send."""
    from loopwright.clock import now
    from loopwright.govern.digest import digest as told
    from loopwright.govern.status import status_of
    from loopwright.workspace import find

    found = find(workspace)
    text, took = told(status_of(found), now(), hours), 0
    if send:
        from loopwright.alerts.sent import post

        title, _, body = text.partition("\n")
        took = post(found.root, f"Loopwright {title}", body.strip())
    if as_json:
        emit({"schema_version": 1, "text": text, "addresses": took})
    else:
        sys.stdout.write(text)
