"""`loopwright label CYCLE`: a second opinion on rows that were judged, by people and by a model elsewhere; how far they agree."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit
from loopwright.cli.people import As, PassphraseFile, at_desk

if TYPE_CHECKING:
    from loopwright.labelling import Agreement

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(label)


def label(
    cycle: Annotated[str, typer.Argument(help="Whose rows: c0003.")],
    take: Annotated[
        Path | None, typer.Option("--take", help="Write the file that people fill in: CSV, without the verdicts.")
    ] = None,
    suggest: Annotated[
        Path | None,
        typer.Option("--suggest", help="Write it with the answers of the plan's model (labeller), which is asked now."),
    ] = None,
    give: Annotated[Path | None, typer.Option("--give", help="Sign a filled file and record it.")] = None,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """A second opinion on rows that the verifier judged: take the file, fill it in, give it back signed; how far answers agree."""
    if take is not None:
        _take(cycle, take, workspace, as_json=as_json)
    elif suggest is not None:
        _suggest(cycle, suggest, workspace, as_json=as_json)
    elif give is not None:
        from loopwright.govern.labels import give as sign

        with at_desk(workspace, passphrase_file) as desk:
            made = sign(desk, cycle, give, who)
        _tell(made, f"{made['rows']} answers about {cycle} are entry {made['leaf']}, signed by {made['key']}", as_json=as_json)
    else:
        _show(cycle, workspace, as_json=as_json)


def _take(cycle: str, place: Path, workspace: Path, *, as_json: bool) -> None:
    from loopwright.govern.labels import cycle_of, file_of
    from loopwright.labelling import queue_of
    from loopwright.ledger.access import saw
    from loopwright.workspace import find

    found = find(workspace)
    queue = queue_of(found.root, cycle_of(found.state(), cycle))
    saw(found.root, "export", f"labelling file of {cycle}")
    place.write_bytes(file_of(queue, {}))
    said = f"{place}: {len(queue.rows)} rows; say right, wrong or unsure in the last column, then: loopwright label {cycle} --give {place}"
    _tell({"file": str(place), "rows": len(queue.rows), "why": dict(queue.counts)}, said, as_json=as_json)


def _suggest(cycle: str, place: Path, workspace: Path, *, as_json: bool) -> None:
    from loopwright.govern.labels import file_of, suggest
    from loopwright.workspace import find

    found = find(workspace)
    queue, labels = suggest(found, found.state(), cycle, _progress)
    place.write_bytes(file_of(queue, labels))
    counts = {word: list(labels.values()).count(word) for word in sorted(set(labels.values()))}
    said = f"{place}: {len(labels)} answers by a model ({', '.join(f'{count} {word}' for word, count in counts.items())}), signed by nobody"
    _tell({"file": str(place), "rows": len(labels), "answers": counts}, said, as_json=as_json)


def _progress(done: int, total: int, unit: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {total} {unit}" + ("\n" if done == total else ""))


def _show(cycle: str, workspace: Path, *, as_json: bool) -> None:
    from loopwright.govern.labels import cycle_of
    from loopwright.labelling import agreements, queue_of, signed
    from loopwright.workspace import find

    found = find(workspace)
    state = found.state()
    queue, people = queue_of(found.root, cycle_of(state, cycle)), signed(found.root, state, cycle)
    rows = agreements(people, queue.verdicts, "verifier")
    if as_json:
        emit({"schema_version": 1, "cycle": cycle, "rows": dict(queue.counts), "agreement": [asdict(one) for one in rows]})
        return
    told = ", ".join(f"{count} {name}" for name, count in queue.counts.items())
    sys.stdout.write(f"{cycle}: a file of {len(queue.rows)} rows ({told}); signed by {len(people)}\n")
    for one in rows:
        sys.stdout.write(f"  {one.one} and {one.other}: {_kappa(one)}\n")
    if not people:
        sys.stdout.write(f"Next: loopwright label {cycle} --take labels.csv\n")


def _kappa(one: Agreement) -> str:
    same = f"{one.same} of {one.n} the same, {one.unsure} unsure"
    if one.kappa is None:
        return f"{same}; kappa is not defined"
    return f"{same}; kappa {one.kappa.value:.2f} ({one.kappa.low:.2f} to {one.kappa.high:.2f}), {one.kappa.method}"


def _tell(value: dict[str, Any], text: str, *, as_json: bool) -> None:
    emit({"schema_version": 1, **value}) if as_json else sys.stdout.write(f"{text}\n")
