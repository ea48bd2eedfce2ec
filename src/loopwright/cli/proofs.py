"""Verbs for those who check: verify (a workspace or a bundle), export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit

if TYPE_CHECKING:
    from loopwright.ledger.audit import Finding
    from loopwright.ledger.trust import Standing, Trust

__all__ = ["register"]

_REPAIR = "a file: `dvc checkout PATH` or `git checkout PATH` brings the recorded one back; the log: compare with a copy"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (verify, export):
        app.command()(verb)


def verify(
    bundle: Annotated[Path | None, typer.Argument(help="A bundle that `loopwright export` wrote; else the workspace.")] = None,
    witness: Annotated[
        list[str] | None, typer.Option(help="Whom you trust: a witness' verifier key, or a file of them.")
    ] = None,
    quorum: Annotated[int | None, typer.Option(help="How many of them must have cosigned; 1 by default.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Your witnesses, quorum and authorities as a YAML file.")] = None,
    checkpoint: Annotated[list[Path] | None, typer.Option(help="A checkpoint that you kept: the log must continue it.")] = None,
    tsa: Annotated[
        list[Path] | None, typer.Option(help="A time-stamping authority's certificates (PEM): check time stamps.")
    ] = None,
    log_key: Annotated[
        str | None, typer.Option(help="The log's verifier key, if you have it: a bundle must be of that log.")
    ] = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="Only that entries, tiles and checkpoints fit: a million in seconds.")
    ] = False,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Check the record offline: log, signatures, manifests, DVC objects, cosignatures. Exit 5 names what is wrong."""
    from loopwright.ledger.trust import load_trust

    trust = load_trust(policy, witness or [], quorum, checkpoint or [], tsa or [])
    if bundle is not None:
        _bundle(bundle, trust, log_key, as_json=as_json)
    else:
        _workspace(workspace, trust, tree_only=tree, as_json=as_json)


def export(
    cycle: Annotated[str | None, typer.Option(help="The cycle to prove, for example c0005.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Instead: the weights of this cycle, with an OpenSSF model signature.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the bundle (a file), or the model (a new folder).")] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Every entry of the log: then nothing can have been left out.")
    ] = False,
    since: Annotated[
        list[int] | None, typer.Option(help="Size of a checkpoint that the reader kept; shown to be continued.")
    ] = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Write one file from which an outsider checks a cycle offline: statements, proofs, checkpoints; no weights, rows or names."""
    from loopwright.errors import UsageError
    from loopwright.ledger.access import saw
    from loopwright.ledger.export import export as make
    from loopwright.ledger.publication import write_file
    from loopwright.types import digest_bytes
    from loopwright.workspace import find

    if out is None or (cycle is None) == (model is None):
        raise UsageError("one of --cycle and --model, and where to", "loopwright export --cycle c0005 --out c0005.zip")
    if cycle is None:
        _model(workspace, str(model), out, as_json=as_json)
        return
    root = find(workspace).root
    data = make(root, cycle, whole=whole, since=since or ())
    saw(root, "export", f"{cycle} {digest_bytes(data)}")
    write_file(out, data)
    if as_json:
        emit({"schema_version": 1, "cycle": cycle, "file": str(out), "digest": digest_bytes(data), "bytes": len(data)})
    else:
        sys.stdout.write(f"{out}: {digest_bytes(data)}\n")


def _model(place: Path, cycle: str, out: Path, *, as_json: bool) -> None:
    from loopwright.ledger.access import saw
    from loopwright.ledger.model_signature import export_model
    from loopwright.workspace import find

    workspace = find(place)
    ledger = workspace.ledger()
    try:
        signed = export_model(workspace.root, ledger, cycle, out)
        saw(workspace.root, "export", f"model {cycle} {signed.model.digest}")
    finally:
        ledger.close()
    check = f"model_signing verify key {out}/model --signature {out}/model.sig --public_key {out}/signing-key.pem"
    if as_json:
        emit({"schema_version": 1, "cycle": cycle, "folder": str(out), "digest": signed.model.digest, "leaf": signed.index})
    else:
        sys.stdout.write(f"{out}: the model of {cycle}, signed (entry {signed.index}). Check: {check} --no-ignore-git-paths\n")


def _bundle(path: Path, trust: Trust, log_key: str | None, *, as_json: bool) -> None:
    from loopwright.errors import UsageError
    from loopwright.ledger.bundle import MAX_BYTES
    from loopwright.ledger.bundle_audit import check_bundle

    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}", "a workspace is given by -w DIRECTORY") from error
    report = check_bundle(data, trust, log_key)
    about = {"workspace": report.workspace, "cycle": report.cycle, "leaves": report.size, "entries": report.entries}
    told = {**about, "whole": report.whole, "log_key": report.log_key, **(_trusted(report.standing) if report.standing else {})}
    _tell(list(report.findings), told, as_json=as_json, what="what the bundle says")
    if not as_json and report.standing:
        part = "all" if report.whole else f"{report.entries} of"
        sys.stdout.write(f"the bundle holds: {report.cycle} of {report.workspace}, {part} {report.size} entries, each proven\n")
        sys.stdout.write("" if log_key else f"log key: {report.log_key} (compare it with one that you have from elsewhere)\n")
        sys.stdout.write(_coverage(report.standing, trust, report.size))


def _workspace(place: Path, trust: Trust, *, tree_only: bool, as_json: bool) -> None:
    from loopwright.ledger.inspection import inspect
    from loopwright.ledger.trust import standing
    from loopwright.workspace import find

    root = find(place).root
    report, seen = inspect(root, tree_only=tree_only), standing(root / "ledger", trust)
    found = [*report.findings, *seen.findings]
    told = {"leaves": report.leaves, "unseen": list(report.unseen), **_trusted(seen)}
    sys.stderr.write("".join(f"{unseen}\n" for unseen in report.unseen))
    _tell(found, told, as_json=as_json, what="the record")
    if tree_only and not as_json:
        sys.stdout.write(f"{report.covered} of {report.leaves} entries are those that the log's key signed for\n")
    elif not as_json:
        sys.stdout.write(f"the record is whole: {report.leaves} entries, every signature, manifest and object as recorded\n")
    if not as_json:
        sys.stdout.write(_coverage(seen, trust, report.leaves))


def _trusted(seen: Standing) -> dict[str, Any]:
    signed = [{"size": size, "witness": one.key.name, "time": one.time} for size, one in seen.cosignatures]
    return {"witnessed": seen.witnessed, "cosignatures": signed, "timestamps": [dict(one) for one in seen.stamps]}


def _coverage(seen: Standing, trust: Trust, leaves: int) -> str:
    """What others vouch for, in words; that nobody does is said as well."""
    lines = [f"time stamp: {one['size']} entries were there by {one['time']} ({one['authority']})" for one in seen.stamps]
    if trust.quorum:
        names = ", ".join(sorted({one.key.name for size, one in seen.cosignatures if size == seen.witnessed}))
        rest = f"; the {leaves - seen.witnessed} after it are the log's word alone" if leaves > seen.witnessed else ""
        lines.append(f"witnessed: {seen.witnessed} entries by {names}{rest}")
    elif not trust.kept:
        lines.append("no witness was named (--witness KEY): who holds all keys could have cut or rewritten this log")
    return "".join(f"{line}\n" for line in lines)


def _tell(found: list[Finding], told: dict[str, Any], *, as_json: bool, what: str) -> None:
    from loopwright.errors import IntegrityError

    findings = [{"code": one.code, "where": one.where, "message": one.message} for one in found]
    if as_json:
        emit({"schema_version": 1, "ok": not findings, **told, "findings": findings})
    else:
        for one in findings:
            sys.stdout.write(f"{one['code']}: {one['where']}: {one['message']}\n")
    if findings:
        shown = findings[0]
        things = "1 thing differs" if len(findings) == 1 else f"{len(findings)} things differ"
        raise IntegrityError(f"{things} from {what}, first {shown['where']}: {shown['message']}", _REPAIR)
