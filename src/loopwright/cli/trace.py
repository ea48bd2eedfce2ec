"""Verbs that follow things: lineage, recall, reproduce, diff."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit
from loopwright.cli.people import As, PassphraseFile, passphrase

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (lineage, recall, reproduce, diff):
        app.command()(verb)


def lineage(
    what: Annotated[str, typer.Argument(help="c0003/model, a path, the first digits of a digest, a row's id, or a task's.")],
    down: Annotated[bool, typer.Option("--down", help="What was made from it, instead of what it was made from.")] = False,
    depth: Annotated[int, typer.Option(min=1, help="Levels of the tree that are drawn.")] = 6,
    prov: Annotated[bool, typer.Option("--prov", help="Print W3C PROV-JSON.")] = False,
    openlineage: Annotated[bool, typer.Option("--openlineage", help="Print OpenLineage events, one a line.")] = False,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Where something comes from: the data, prompts, checkpoints, checks and keys behind it; with --down what hangs on it."""
    from loopwright.cli.trails import show_lineage
    from loopwright.trace.lineage import lineage as follow
    from loopwright.workspace import find

    found = follow(find(workspace), what, down=down)
    if prov:
        from loopwright.trace.exchange import prov_json

        sys.stdout.write(prov_json(found) + "\n")
    elif openlineage:
        from loopwright.trace.exchange import openlineage_events

        for event in openlineage_events(found):
            emit(event)
    elif as_json:
        emit(found.plain())
    else:
        show_lineage(found, depth)


def recall(
    artifact: Annotated[str | None, typer.Argument(help="c0003/accepted, a path, or a digest (also of code).")] = None,
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")] = "",
    source: Annotated[str | None, typer.Option(help="All rows of a source of loop.yaml.")] = None,
    licence: Annotated[str | None, typer.Option(help="All rows under a licence (SPDX).")] = None,
    rows: Annotated[list[str] | None, typer.Option(help="A row's id, or a file with one a line; may be given often.")] = None,
    person: Annotated[str | None, typer.Option(help="All rows whose source line has this salted digest as `person`.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be affected.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="The recalls so far.")] = False,
    plan: Annotated[Path | None, typer.Option("--retrain", help="Carry out a retrain plan (recalls/NAME.yaml).")] = None,
    directory: Annotated[Path | None, typer.Option(help="With --retrain: where the new loop goes.")] = None,
    turn: Annotated[bool, typer.Option("--turn/--no-turn", help="With --retrain: turn it at once, or only make it.")] = True,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Take something bad out of use with all that was made from it, let the champion fall back, and plan to train without it."""
    from loopwright.workspace import find

    found = find(workspace)
    if list_:
        _list(found, as_json=as_json)
    elif plan is not None:
        _retrain(found, plan, directory, turn=turn, as_json=as_json)
    else:
        asked = {"artifact": artifact, "source": source, "licence": licence, "rows": rows, "person": person}
        wanted = {name: value for name, value in asked.items() if value}
        _recall(found, wanted, why, (who, passphrase_file), dry_run=dry_run, as_json=as_json)


def reproduce(
    cycle: Annotated[str, typer.Argument(help="A finished cycle, for example c0003.")],
    phases: Annotated[str, typer.Option(help="Only these, separated by commas; all by default.")] = "",
    weights: Annotated[float, typer.Option(min=0, help="Tolerance: largest difference of a weight.")] = 1e-3,
    agreement: Annotated[float, typer.Option(min=0, max=1, help="Tolerance: least share of equal verdicts or rows.")] = 0.99,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Run a cycle again in a clean clone from the record alone, and sign by artifact: identical, within tolerance, or different."""
    from loopwright.cli.trails import show_reproduction
    from loopwright.errors import InfraError, IntegrityError
    from loopwright.trace.compare import Tolerance
    from loopwright.trace.reproduce import reproduce as again
    from loopwright.workspace import find

    chosen = [name.strip() for name in phases.split(",") if name.strip()]
    limits = Tolerance(weights=weights, agreement=agreement)
    answer = again(find(workspace), cycle, chosen, limits, _say)
    emit(answer) if as_json else show_reproduction(answer)
    bad = next((one for one in answer["outcomes"] if one["verdict"] == answer["verdict"]), {})
    said = f"{cycle} {bad.get('phase')}: {bad.get('path')}: {bad.get('where')}"
    if answer["verdict"] == "failed":
        raise InfraError(f"a phase could not be run again: {said}", "loopwright doctor")
    if answer["verdict"] == "different":
        raise IntegrityError(f"not reproduced: {said}", "the environment's differences are named above")


def _say(said: str) -> None:
    sys.stderr.write(f"{said}\n")


def diff(
    one: Annotated[str, typer.Argument(help="A cycle, for example c0003.")],
    other: Annotated[str, typer.Argument(help="The cycle that it is compared with, for example c0005.")],
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """What differs between two cycles: rows, code, configuration, environment, scores on the same tasks."""
    from loopwright.cli.trails import show_diff
    from loopwright.trace.diff import diff as between
    from loopwright.workspace import find

    found = between(find(workspace), one, other)
    emit(found) if as_json else show_diff(found)


def _list(workspace: Any, *, as_json: bool) -> None:
    from loopwright.cli.trails import show_recalls
    from loopwright.trace.recall import listed

    found = listed(workspace)
    emit({"schema_version": 1, "recalls": found}) if as_json else show_recalls(found)


def _recall(
    workspace: Any, asked: dict[str, Any], why: str, by: tuple[str | None, Path | None], *, dry_run: bool, as_json: bool
) -> None:
    from loopwright.cli.trails import show_recall
    from loopwright.errors import UsageError
    from loopwright.govern.halt import not_frozen
    from loopwright.govern.requests import Desk
    from loopwright.trace.lineage import read_graph
    from loopwright.trace.recall import affected
    from loopwright.trace.recall import recall as sign

    if len(asked) != 1:
        raise UsageError("recall one thing: an artifact, --source, --licence, --rows or --person", "loopwright recall --help")
    if not why and not dry_run:
        raise UsageError("a recall needs a reason", "--why TEXT, or --dry-run to see what it would reach")
    found = affected(workspace.root, graph := read_graph(workspace), _target(workspace, graph, asked))
    if dry_run:
        answer = found.plain()
    else:
        not_frozen(workspace)
        with Desk(workspace, passphrase(by[1])) as desk:
            _, hand = desk.hand(desk.consent.state(), by[0], "operator")
        answer = sign(workspace, found, why, hand)
    emit(answer) if as_json else show_recall(answer)


def _target(workspace: Any, graph: Any, asked: dict[str, Any]) -> Any:
    from loopwright.trace import targets

    [(kind, value)] = asked.items()
    if kind == "artifact":
        return targets.artifact(graph, value)
    if kind == "licence":
        return targets.licence(workspace.root, graph, value)
    if kind == "rows":
        return targets.rows(workspace.root, graph, _ids(value))
    make = targets.source if kind == "source" else targets.person
    return make(workspace.root, graph, workspace.plan().sources, value)


def _ids(given: list[str]) -> list[str]:
    """Ids, and those in files."""
    files = [Path(one) for one in given if Path(one).is_file()]
    told = [line.strip() for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [one for one in [*(one for one in given if not Path(one).is_file()), *told] if one]


def _retrain(workspace: Any, plan: Path, directory: Path | None, *, turn: bool, as_json: bool) -> None:
    from loopwright.errors import UsageError
    from loopwright.trace.retrain import retrain

    if directory is None:
        raise UsageError("--retrain needs --directory: the new loop is a workspace of its own", "--directory DIR")
    path = plan if plan.exists() else workspace.root / plan
    made, last = retrain(workspace, path, directory)
    sys.stderr.write(f"{directory} goes on without what was recalled\n")
    if turn:
        from loopwright.cli.drive import drive

        drive(made, cycles=None, until=last, until_promoted=False, as_json=as_json)
    elif as_json:
        emit({"schema_version": 1, "workspace": str(made.root), "until": last})
    else:
        sys.stdout.write(f"Next: cd {directory} && loopwright run\n")
