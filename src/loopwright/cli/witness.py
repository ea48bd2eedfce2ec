"""`loopwright witness`: somebody else's memory of the log, and time stamps of it."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

if TYPE_CHECKING:
    from loopwright.ledger.witness import Cosigned, Witness

__all__ = ["register"]

State = Annotated[Path, typer.Option("--state", help="The witness' own folder: its key, and what it remembers.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(
        help="Cosign a log from elsewhere, so that nobody can rewind or fork it unseen.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for verb in (init, cosign, add, show, timestamp):
        group.command()(verb)
    app.add_typer(group, name="witness")


def init(
    directory: Annotated[Path, typer.Argument(help="A new folder, best of another user or host.")],
    name: Annotated[str, typer.Option(help="What it signs as, for example witness.example.org/w1.")],
    as_json: AsJson = False,
) -> None:
    """Make a witness: a key and an empty memory. Prints the public key that readers trust it by."""
    from loopwright.ledger.witness import Witness

    made = Witness.create(directory, name)
    if as_json:
        emit({"schema_version": 1, "witness": name, "key": str(made.key)})
    else:
        sys.stdout.write(f"{made.key}\n")


def cosign(
    log: Annotated[Path, typer.Argument(help="A workspace, or a (copy of a) ledger/ folder.")],
    state: State,
    log_key: Annotated[
        str | None, typer.Option(help="The log's verifier key (in ledger/keys.json); expected the first time.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the cosigned checkpoint here, to be carried back.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check the latest checkpoint against all that this witness has seen, and sign it. Exit 5: a rewind or a fork."""
    from loopwright.errors import IntegrityError
    from loopwright.ledger.cosignature import with_lines
    from loopwright.ledger.publication import write_file
    from loopwright.ledger.witness import Witness

    ledger, mine = _ledger(log), Witness.open(state)
    try:
        told = mine.cosign(ledger, log_key)
    except IntegrityError:
        _brought_back(ledger, mine)
        raise
    note = with_lines(told.note, [told.line])
    kept = _kept(ledger, note)
    if out is not None:
        write_file(out, note.encode())
    if as_json:
        size, origin = told.checkpoint.size, told.checkpoint.origin
        emit({"schema_version": 1, "origin": origin, "size": size, "first": told.first, "kept": kept, "note": note})
    else:
        _say_cosigned(told, note, kept=kept, carried=out is not None)


def _brought_back(ledger: Path, mine: Witness) -> None:
    """Leave with the log what it contradicts, where this witness may write there: then its driver stops, too."""
    from loopwright.errors import LoopwrightError
    from loopwright.ledger.refusals import bring

    for known in mine.remembered():
        with contextlib.suppress(LoopwrightError, OSError, ValueError):
            bring(ledger, known["note"])


def _say_cosigned(told: Cosigned, note: str, *, kept: bool, carried: bool) -> None:
    if told.first:
        sys.stderr.write(f"first seen: {told.checkpoint.origin}; earlier rewinds of it cannot be known\n")
    if kept:
        sys.stdout.write(f"cosigned {told.checkpoint.size} entries of {told.checkpoint.origin}\n")
    elif not carried:
        sys.stderr.write("the ledger cannot be written from here: carry this note back, `loopwright witness add FILE`\n")
        sys.stdout.write(note)


def _kept(ledger: Path, note: str) -> bool:
    """A witness often may only read: then the cosignature goes back as a file."""
    from loopwright.errors import InfraError
    from loopwright.ledger.witness import keep

    try:
        keep(ledger, note)
    except (OSError, InfraError):
        return False
    return True


def add(
    note: Annotated[Path, typer.Argument(help="What a witness wrote with --out, or the evidence of its refusal.")],
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Put a returned cosignature below the checkpoint that it is of; of a refusal, keep the evidence, which stops the loop."""
    from loopwright.errors import UsageError
    from loopwright.ledger.refusals import bring
    from loopwright.ledger.witness import keep

    try:
        text = note.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{note} cannot be read: {error}") from error
    if (evidence := _evidence(text)) is not None:
        place = bring(_ledger(workspace), evidence)
        if as_json:
            emit({"schema_version": 1, "file": str(place)})
        else:
            sys.stdout.write(f"{place}: this log does not continue it; the loop stops (exit 5)\n")
        return
    size, new = keep(_ledger(workspace), text)
    if as_json:
        emit({"schema_version": 1, "size": size, "added": new})
    else:
        sys.stdout.write(f"checkpoint of {size} entries: {new} new cosignature{'' if new == 1 else 's'}\n")


def _evidence(text: str) -> str | None:
    """The checkpoint that a witness knew when it refused (``refused/*.json`` of its folder)."""
    try:
        kept = json.loads(text)["kept"]
    except (ValueError, TypeError, KeyError):
        return None
    return kept if isinstance(kept, str) else None


def show(state: State, as_json: AsJson = False) -> None:
    """What a witness remembers: the latest checkpoint of every log, which `loopwright verify --checkpoint` takes."""
    from loopwright.ledger.witness import Witness

    known = Witness.open(state).remembered()
    if as_json:
        emit({"schema_version": 1, "logs": known})
    else:
        sys.stdout.write("\n".join(one["note"] for one in known))


def timestamp(
    tsa: Annotated[str | None, typer.Option(help="Ask this authority now, over HTTP.")] = None,
    request: Annotated[
        Path | None, typer.Option(help="Only write the request here (DER), to be carried to an authority.")
    ] = None,
    response: Annotated[Path | None, typer.Option(help="Take in an authority's response (DER).")] = None,
    size: Annotated[int | None, typer.Option(help="Which checkpoint; the latest by default.")] = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """An RFC 3161 time stamp of a checkpoint: an authority's word that it was there by then."""
    from loopwright.errors import UsageError
    from loopwright.ledger.publication import write_file
    from loopwright.ledger.timestamps import accept, ask
    from loopwright.ledger.timestamps import request as make
    from loopwright.ledger.trust import STAMPS

    if sum(one is not None for one in (tsa, request, response)) != 1:
        raise UsageError("one of --tsa URL, --request FILE, --response FILE", "loopwright witness timestamp --help")
    ledger = _ledger(workspace)
    number, text = _checkpoint(ledger, size)
    if request is not None:
        write_file(request, make(text))
        place = request
    else:
        data = ask(tsa, text) if tsa else _bytes(response)
        accept(data, text)
        place = ledger / STAMPS / f"{number}.tsr"
        write_file(place, data)
    if as_json:
        emit({"schema_version": 1, "size": number, "file": str(place)})
    else:
        sys.stdout.write(f"{place}: checkpoint of {number} entries\n")


def _bytes(path: Path | None) -> bytes:
    from loopwright.errors import UsageError

    try:
        return path.read_bytes() if path else b""
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _checkpoint(ledger: Path, size: int | None) -> tuple[int, str]:
    from loopwright.errors import UsageError
    from loopwright.ledger.note import read_text, split_note

    place = ledger / ("checkpoint" if size is None else f"checkpoints/{size}")
    try:
        text, _ = split_note(place.read_text(encoding="utf-8"))
        return read_text(text).size, text
    except (OSError, ValueError) as error:
        raise UsageError(f"there is no checkpoint {place}: {error}", "`ls ledger/checkpoints` shows the sizes") from error


def _ledger(place: Path) -> Path:
    """The published log: a workspace's, or the folder itself."""
    if (place / "checkpoint").is_file():
        return place
    from loopwright.workspace import find

    return place / "ledger" if (place / "ledger" / "checkpoint").is_file() else find(place).root / "ledger"
