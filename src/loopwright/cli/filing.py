"""`loopwright report sign, verify, file, register, bundle`: what becomes of a built PDF."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit
from loopwright.cli.people import As, PassphraseFile, passphrase

__all__ = ["add"]


def add(report: typer.Typer) -> None:
    """Add the verbs to the group."""
    report.command()(sign)
    report.command()(verify)
    report.command(name="file")(file_it)
    report.command()(register)
    report.command()(bundle)


def sign(
    file: Annotated[Path, typer.Argument(help="A PDF that `report build` wrote.")],
    certificate: Annotated[Path, typer.Option(help="A PKCS #12 file, or a PEM certificate (with --key).")],
    key: Annotated[Path | None, typer.Option(help="The PEM private key of a PEM certificate.")] = None,
    output: Annotated[Path | None, typer.Option(help="FILE with -signed before its ending by default.")] = None,
    reason: Annotated[str, typer.Option(help="Stands in the signature.")] = "Issued by the provider",
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Sign a PDF by a certificate (PAdES). A person's key signs it by `report file`, which needs none."""
    from loopwright.report.signing import sign_pdf, signer_of
    from loopwright.types import digest_bytes

    pdf = _bytes(file)
    signed = sign_pdf(pdf, signer_of(certificate, key, passphrase(passphrase_file)), reason)
    target = output or file.with_name(f"{file.stem}-signed.pdf")
    _put(target, signed)
    if as_json:
        told = {"pdf": str(target), "digest": digest_bytes(signed), "unsigned": digest_bytes(pdf)}
        emit({"schema_version": 1, **told})
    else:
        sys.stdout.write(f"{target}\n")


def verify(
    file: Annotated[Path, typer.Argument(help="A PDF that `report build` wrote.")],
    keys: Annotated[list[str] | None, typer.Option("--key", help="The log's verifier key, from somebody you trust.")] = None,
    trust: Annotated[list[Path] | None, typer.Option(help="A certificate (PEM) that a signature may lead to.")] = None,
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="The record: it is then drawn again from it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a PDF from the file alone; with a workspace, against the record as well. Exit 5 where something is not as it says."""
    from loopwright.errors import IntegrityError
    from loopwright.report.verify import verify_file
    from loopwright.workspace import find

    root = find(workspace).root if workspace else None
    found = verify_file(file, keys=tuple(keys or ()), trusted=tuple(trust or ()), workspace=root)
    if as_json:
        told = found.document
        what = {"document": told.document, "about": told.about.id, "audience": told.audience} if told else None
        emit({"schema_version": 1, "digest": found.digest, "what": what, "checks": [asdict(check) for check in found.checks]})
    else:
        _tell([(check.result, check.name, check.told) for check in found.checks])
    if found.failed:
        names = ", ".join(check.name for check in found.failed)
        raise IntegrityError(f"{file} is not as it says: {names}", "ask whoever issued it for the file again")


def _tell(checks: list[tuple[str, str, str]]) -> None:
    """A table for a person; a line each for a program."""
    if sys.stdout.isatty():
        from loopwright.cli.tables import print_rows

        print_rows(("result", "check", "what was found"), checks)
        return
    for result, name, told in checks:
        sys.stdout.write(f"{result:<12} {name:<11} {told}\n")


def file_it(
    file: Annotated[Path, typer.Argument(help="A PDF that `report build` wrote, signed or not.")],
    state: Annotated[str, typer.Option(help="reviewed, approved (by somebody else) or submitted.")],
    recipient: Annotated[str | None, typer.Option(help="Submitted to whom, and how.")] = None,
    receipt: Annotated[Path | None, typer.Option(help="What the recipient gave in return.")] = None,
    note: Annotated[str | None, typer.Option(help="Words for the register.")] = None,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Take a report to its next state: a person's signature over its exact bytes, which are kept."""
    from loopwright.errors import IntegrityError, UsageError
    from loopwright.govern.filing import Report, file_report
    from loopwright.govern.requests import Desk
    from loopwright.ledger.filings import STATES
    from loopwright.report.verify import verify_file
    from loopwright.workspace import find

    if state not in STATES:
        raise UsageError(f"--state {state}", f"one of: {', '.join(STATES)}")
    found = find(workspace)
    checked = verify_file(file, workspace=found.root)
    made = checked.document
    if made is None or checked.failed:
        said = "; ".join(f"{check.name}: {check.told}" for check in checked.failed)
        raise IntegrityError(f"{file} is not filed: {said}", "build it again")
    report = Report(
        pdf=_bytes(file), document=made.document, about=made.about.id, language=made.language,
        audience=made.audience, checkpoint=made.provenance.checkpoint.size,
    )  # fmt: skip
    with Desk(found, passphrase(passphrase_file)) as desk:
        told = file_report(desk, report, state, name=who, recipient=recipient, note=note, receipt=receipt)
    if as_json:
        emit({"schema_version": 1, **told})
    else:
        sys.stdout.write(
            f"{report.document} {report.about} ({report.audience}, {report.language}) is {state}: entry {told['leaf']}\n"
        )


def register(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Show the submission register: each filed report, how far it has come, and what has changed in the record since."""
    from loopwright.report.filed import rows
    from loopwright.workspace import find

    found = rows(find(workspace).root)
    if as_json:
        emit({"schema_version": 1, "reports": found})
        return
    if not found:
        sys.stdout.write("nothing is filed yet: `loopwright report file PDF --state reviewed`\n")
    for row in found:
        changed = "not compared" if row["changed"] is None else f"{len(row['changed'])} fields changed since"
        sys.stdout.write(
            f"{row['document']} {row['about']} ({row['audience']}, {row['language']})  {row['state']}  {changed}\n"
        )
        sys.stdout.write(f"  {row['file']}\n")
        for step in row["steps"]:
            to = f" to {step['recipient']}" if step["recipient"] else ""
            sys.stdout.write(
                f"  {step['filed_at']}  {step['state']}{to} by {step['by']}{step['mark']} (entry {step['leaf']})\n"
            )


def bundle(
    output: Annotated[Path, typer.Option(help="The ZIP file to write.")],
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Write one file for an auditor: every filed report, the register, receipts, and the published log to check them by."""
    from loopwright.ledger.access import saw
    from loopwright.report.filed import auditors_bundle
    from loopwright.types import digest_bytes
    from loopwright.workspace import find

    root = find(workspace).root
    data, members = auditors_bundle(root)
    _put(output, data)
    saw(root, "export", f"auditor's bundle {digest_bytes(data)}")
    told: dict[str, Any] = {"file": str(output), "digest": digest_bytes(data), "members": members}
    if as_json:
        emit({"schema_version": 1, **told})
    else:
        sys.stdout.write(f"{output}: {len(members)} files\n")


def _bytes(file: Path) -> bytes:
    from loopwright.errors import UsageError

    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "name a PDF that `report build` wrote") from error


def _put(file: Path, data: bytes) -> None:
    from loopwright.errors import InfraError

    try:
        file.write_bytes(data)
    except OSError as error:
        raise InfraError(f"cannot write {file}: {error.strerror}", "make room or choose another --output") from error
