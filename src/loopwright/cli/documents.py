"""Verbs that show the record to others: report (list, build, check, diff, status; `filing` has the rest), app."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loopwright.cli import filing
from loopwright.cli.options import AsJson, WorkspaceOption, emit

if TYPE_CHECKING:
    from loopwright.report.batch import Made
    from loopwright.report.document import Claim, Document

__all__ = ["register"]

About = Annotated[
    str | None,
    typer.Option(
        "--cycle", "--about", help="A cycle such as c0003, or of an incident's document its id; the newest by default."
    ),
]
Language = Annotated[str, typer.Option(help="Language of the words: en, de, or any that the documents have labels in.")]
Audience = Annotated[
    str, typer.Option(help="Who will read it: ai-office, national-authority, downstream, public or internal (sees everything).")
]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    report = typer.Typer(help="Documents drawn from the record.", no_args_is_help=True, rich_markup_mode=None)
    report.command(name="list")(listing)
    for verb in (build, check, diff, status):
        report.command()(verb)
    filing.add(report)
    report.callback()(_group)
    app.add_typer(report, name="report")
    app.command(name="app")(serve)


def _group() -> None:
    """Documents drawn from the record."""


def listing(language: Language = "en", workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """List the documents: what each is, which law asks for it, who gets it, and when it is due."""
    from loopwright.cli.tables import print_rows
    from loopwright.report.overview import listed
    from loopwright.workspace import find

    rows = listed(find(workspace).root, language)
    if as_json:
        emit({"schema_version": 1, "documents": rows})
        return
    print_rows(
        ("document", "title", "law", "about", "audiences", "languages", "due"),
        [
            (
                row["document"],
                row["title"],
                row["law"],
                row["scope"],
                ", ".join(row["audiences"]),
                " ".join(row["languages"]),
                row["due"],
            )
            for row in rows
        ],
    )


def build(
    document: Annotated[str | None, typer.Argument(help="One of `report list`; or --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every document in every language and for every audience.")] = False,
    about: About = None,
    language: Annotated[
        list[str] | None, typer.Option(help="en by default; with --all every one. Several: once for each.")
    ] = None,
    audience: Annotated[list[str] | None, typer.Option(help="internal by default; with --all every one. Likewise.")] = None,
    output: Annotated[Path | None, typer.Option(help="Directory; build/reports of the workspace by default.")] = None,
    kinds: Annotated[str, typer.Option("--format", help="Some of pdf,html,json.")] = "pdf,html,json",
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Write documents as accessible PDFs, with the same content as HTML and JSON."""
    from loopwright.errors import UsageError
    from loopwright.ledger.access import saw
    from loopwright.report.batch import build_many, jobs_for
    from loopwright.workspace import find

    if (document is None) != every:
        raise UsageError("which document?", "`loopwright report list` names them; --all builds every one")
    root, formats = find(workspace).root, _formats(kinds)
    names = [document] if document else []
    jobs, left = jobs_for(
        root, names, about, language or ([] if every else ["en"]), audience or ([] if every else ["internal"])
    )
    progress = _Progress(len(jobs))
    made = build_many(root, jobs, output.resolve() if output else None, formats, progress.told)
    for one in made:
        told = f"{one.job.document} {one.job.about or ''} {one.job.audience} {one.job.language}"
        saw(root, "report", f"{told} {one.digests.get('pdf') or next(iter(one.digests.values()))}")
    if as_json:
        emit({"schema_version": 1, "built": [asdict(one) for one in made], "left_out": left})
        return
    for line in left:
        sys.stderr.write(f"left out: {line}\n")
    for one in made:
        for path in one.files.values():
            sys.stdout.write(f"{path}\n")


def _formats(kinds: str) -> tuple[str, ...]:
    from loopwright.errors import UsageError
    from loopwright.report.engine import FORMATS

    asked = tuple(kind.strip() for kind in kinds.split(",") if kind.strip())
    if not asked or set(asked) - set(FORMATS):
        raise UsageError(f"--format {kinds}", f"allowed: some of {','.join(FORMATS)}")
    return asked


class _Progress:
    """A line to stderr for each document that is done, where there are several."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def told(self, made: Made) -> None:
        """One is done."""
        self.done += 1
        if self.total > 1:
            job, state = made.job, "complete" if made.complete else f"incomplete, {made.answered} of {made.of}"
            sys.stderr.write(f"{self.done}/{self.total} {job.document} {job.audience} {job.language}: {state}\n")


def check(
    document: Annotated[str, typer.Argument(help="One of `report list`.")],
    about: About = None,
    language: Language = "en",
    audience: Audience = "internal",
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """List what is open in a document, with who owes it and when it is due; exit 3 where something is."""
    from loopwright.cli.tables import print_rows
    from loopwright.errors import RefusedError

    made = _document(workspace, document, about, language, audience)
    still = [claim for claim in made.claims if claim.due is not None]
    rows = [_open(claim) for claim in still]
    if as_json:
        told = made.status.model_dump(mode="json")
        emit({"schema_version": 1, "document": document, "about": made.about.id, "audience": audience, **told, "missing": rows})
    elif rows:
        print_rows(
            ("field", "what", "state", "owed by", "due", "date"),
            [(row["field"], row["label"], row["state"], row["owner"], row["due"], row["date"] or "") for row in rows],
        )
    else:
        sys.stdout.write(f"{document} is complete: {made.status.of} fields\n")
    if still:
        raise RefusedError(
            f"{document} is incomplete: {made.status.answered} of {made.status.of} fields are answered",
            "`loopwright answer FIELD --text ...`, `--confirm` or `--not-applicable REASON`",
        )


def _open(claim: Claim) -> dict[str, Any]:
    due = claim.due
    return {
        "field": claim.id,
        "label": claim.label,
        "state": claim.state,
        "owner": claim.owner,
        "due": due.label if due else "",
        "date": due.date if due else None,
        "help": claim.help,
    }


def _document(workspace: Path, document: str, about: str | None, language: str, audience: str) -> Document:
    from loopwright.report.engine import document_of
    from loopwright.report.loading import load
    from loopwright.report.record import open_record
    from loopwright.workspace import find

    root = find(workspace).root
    loaded = load(root, document)  # what is wrong in its files is told before the record is audited
    return document_of(open_record(root), loaded, about, language=language, audience=audience)


def diff(
    old: Annotated[str, typer.Argument(help="A JSON file that `report build` wrote, or a cycle.")],
    new: Annotated[str, typer.Argument(help="Likewise: the later version.")],
    document: Annotated[str, typer.Option(help="Of two cycles: the document to compare.")] = "cycle",
    language: Language = "en",
    audience: Audience = "internal",
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Show what changed between two versions of a document: two built files, or two cycles."""
    from loopwright.cli.tables import print_rows
    from loopwright.report.compare import changes, read_document

    def version(which: str) -> Document:
        if Path(which).is_file():
            return read_document(Path(which))
        return _document(workspace, document, which, language, audience)

    found = changes(version(old), version(new))
    if as_json:
        emit({"schema_version": 1, "changes": [asdict(one) for one in found]})
        return
    rows = [(one.id, one.label, ", ".join(one.what) or one.change, *_sides(one.what, one.before, one.after)) for one in found]
    print_rows(("field", "what", "changed", "before", "after"), rows) if rows else sys.stdout.write("nothing changed\n")


def _sides(what: tuple[str, ...], before: Any, after: Any) -> tuple[str, str]:
    both = bool(before and after)
    sides = [(before, after), (after, before)]
    return tuple(  # type: ignore[return-value]  # two
        _brief({key: _apart(side[key], other[key]) if both else side[key] for key in what or ("state",)}) if side else "-"
        for side, other in sides
    )


def _apart(side: Any, other: Any) -> Any:
    """What a side has that the other has not: of facts those that differ, of a table its rows."""
    if not (isinstance(side, dict) and isinstance(other, dict)):
        return side
    if _rows(side) and _rows(other):
        return {**side, "rows": [row for row in side["rows"] if row not in other["rows"]]}
    return {key: _apart(value, other.get(key)) for key, value in side.items() if other.get(key) != value}


def _rows(value: Any) -> bool:
    return isinstance(value, dict) and {"columns", "rows"} <= set(value)


def _brief(told: dict[str, Any]) -> str:
    import json

    def plain(value: Any) -> str:
        if isinstance(value, dict) and {"value", "low", "high", "n"} <= set(value):
            return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f}, n {value['n']})"
        if _rows(value):
            return "; ".join(" ".join("-" if cell is None else plain(cell) for cell in row) for row in value["rows"]) or "-"
        if isinstance(value, float):
            return f"{value:.4g}"
        if isinstance(value, dict):
            return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
        if isinstance(value, str):
            return f"{value[:15]}\u2026" if value.startswith("sha256:") else value
        return json.dumps(value, ensure_ascii=False)

    facts = told.pop("value", None)
    text = "; ".join(map(plain, [*(facts or {}).values(), *told.values()]))
    return text if len(text) <= 240 else f"{text[:239]}\u2026"


def status(
    about: About = None,
    language: Language = "en",
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Show how complete each document is, for each audience."""
    from loopwright.cli.tables import print_rows
    from loopwright.report.overview import standing
    from loopwright.workspace import find

    rows = standing(find(workspace).root, about, language)
    if as_json:
        emit({"schema_version": 1, "documents": rows})
        return
    print_rows(
        ("document", "about", "audience", "answered", "n/a", "drafts", "missing"),
        [(row["document"], row["about"], row["audience"], *_counts(row)) for row in rows],
    )


def _counts(row: dict[str, Any]) -> tuple[str, ...]:
    """How much of a document is answered, and how much of that does not apply; why there is none."""
    if row["complete"] is None:
        return (row["status"], "", "", "")
    by = row["by_state"]
    answered = "COMPLETE" if row["complete"] else f"{row['answered']} of {row['of']}"
    return (answered, *(str(by.get(state, 0)) for state in ("not applicable", "draft", "not provided")))


def serve(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; another than this machine's own needs a sign-in.")
    ] = "127.0.0.1",
    secrets: Annotated[Path | None, typer.Option(help="Streamlit secrets file with [auth]: sign-in by OpenID Connect.")] = None,
    trust_header: Annotated[
        str | None, typer.Option(help="Header of a proxy in front that signs people in, for example X-Forwarded-Email.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="Show all loops of a PostgreSQL database instead: a URL as in record.url of a plan.")
    ] = None,
    workspace: WorkspaceOption = Path(),
) -> None:
    """Open the dashboard of a workspace, or of all workspaces right below a folder; on this machine alone unless people sign in."""
    import json

    from loopwright.cli.dashboard import serve as start
    from loopwright.workspace import find

    headers = json.dumps({trust_header: "email"}) if trust_header else None
    if database is not None:
        from loopwright.cli.databases import folders

        start(folders(database), port, address, secrets, headers)
        return
    several = any((path / "ledger").is_dir() for path in workspace.iterdir()) if workspace.is_dir() else False
    root = workspace.resolve() if several and not (workspace / "loop.yaml").is_file() else find(workspace).root
    start(root, port, address, secrets, headers)
