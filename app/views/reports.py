"""The documents of a workspace as plain values: what each is for, how complete, field by field; what was filed; what a check of a file found."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.jobs import Job, look
from app.sheet import Column, Figure, Kind, Mark, Sheet, Table
from app.views.decided import signers_of
from app.words import Words
from loopwright.index import Index
from loopwright.report.document import Claim, Document
from loopwright.report.overview import listed
from loopwright.report.sources import places
from loopwright.types import digest_bytes

if TYPE_CHECKING:
    from app.frame import Here

__all__ = [
    "KINDS",
    "TABS",
    "Asked",
    "Built",
    "Choice",
    "View",
    "answer_command",
    "build_verbs",
    "checks_table",
    "fields_table",
    "read",
    "view_of",
]

TABS = ("documents", "fields", "files", "filed", "verify")
KINDS = ("text", "confirm", "not-applicable", "withdraw")
OUTPUT = Path("build") / "reports"
STATES: Mapping[str, Mark] = {
    "value": "good",
    "statement": "good",
    "not applicable": "none",
    "draft": "warn",
    "not provided": "bad",
}
NONE = Job()
RESULTS: Mapping[str, Mark] = {"ok": "good", "failed": "bad", "not checked": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address says."""

    document: str = ""
    audience: str = ""
    language: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One document for one audience in one language, and what else there is to choose."""

    document: str
    audience: str
    language: str
    about: str
    """A cycle or an incident; empty where it is of the whole loop."""
    row: Mapping[str, Any]
    """`loopwright.report.overview.listed`'s."""

    @property
    def stem(self) -> str:
        """Name of its files (`loopwright.report.engine.file_stem`)."""
        return f"{self.document}{f'-{self.about}' if self.about else ''}-{self.audience}-{self.language}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was built of a choice, and what a check of it found."""

    files: Mapping[str, Path] = field(default_factory=dict)
    """By format."""
    document: Document | None = None
    digest: str = ""
    """Of the PDF."""
    checks: Sequence[Mapping[str, str]] = ()


UNBUILT = Built()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet
    rows: Sequence[Mapping[str, Any]] = ()
    """Documents, as listed."""
    choice: Choice | None = None
    built: Built = UNBUILT
    size: int = 0
    """Entries of the record now."""
    status: Job = NONE
    build: Job = NONE
    filed: Sequence[Mapping[str, Any]] | None = None
    """The register; None until it was asked for."""
    people: Mapping[str, str] = field(default_factory=dict)
    """Key ids of enrolled persons with names: who can sign an answer."""


_known: dict[tuple[Any, ...], list[dict[str, Any]]] = {}


def _listed(root: Path, language: str) -> list[dict[str, Any]]:
    """Reading thirty documents takes a second: once for the same files."""
    stamps = tuple((str(path), path.stat().st_mtime_ns) for base in places(root) for path in sorted(base.rglob("*.yaml")))
    key = (stamps, language)
    if key not in _known:
        _known[key] = listed(root, language)
    return _known[key]


def read(index: Index, here: Here, asked: Asked) -> View:
    """Ask the record and the files beside it."""
    rows = _listed(here.root, here.words.language)
    state = index.state(more=("incident",))
    incidents = list(dict.fromkeys(one.predicate["incident"] for one in state.acts.incidents))
    choice = _choice(rows, asked, here.words.language, index.told["last"], incidents)
    view = view_of(
        here.words, rows, choice, built=_built(here.root, choice) if choice else UNBUILT, size=index.told["size"],
        status=look(here.root, f"reports-{here.words.language}"), build=look(here.root, "report"),
    )  # fmt: skip
    return replace(view, people=signers_of(here, state))


def _choice(
    rows: Sequence[Mapping[str, Any]], asked: Asked, language: str, last: str | None, incidents: Sequence[str]
) -> Choice | None:
    row = next((one for one in rows if one["document"] == asked.document), None)
    if row is None:
        return None
    about = {"cycle": asked.about or last or "", "incident": asked.about or (incidents[-1] if incidents else ""), "loop": ""}
    tongues = [one for one in (asked.language, language) if one in row["languages"]]
    return Choice(
        document=row["document"], row=row, about=about[row["scope"]],
        audience=asked.audience if asked.audience in row["audiences"] else row["audiences"][-1],
        language=[*tongues, *row["languages"]][0],
    )  # fmt: skip


def _built(root: Path, choice: Choice) -> Built:
    paths = {kind: root / OUTPUT / f"{choice.stem}.{kind}" for kind in ("pdf", "html", "json")}
    files = {kind: path for kind, path in paths.items() if path.is_file()}
    try:
        document = Document.model_validate_json(files["json"].read_bytes()) if "json" in files else None
    except (OSError, ValueError):
        document = None
    digest = digest_bytes(files["pdf"].read_bytes()) if "pdf" in files else ""
    return Built(files=files, document=document, digest=digest, checks=_checks(root, digest))


def _checks(root: Path, digest: str) -> Sequence[Mapping[str, str]]:
    """Of a check of exactly these bytes, by whichever job made it."""
    for name in ("report", f"verify-{digest[7:19]}") if digest else ():
        for result in look(root, name).results:
            if result.get("digest") == digest and "checks" in result:
                return list(result["checks"])
    return ()


def view_of(
    words: Words, rows: Sequence[Mapping[str, Any]], choice: Choice | None, *, built: Built = UNBUILT, size: int = 0,
    status: Job = NONE, build: Job = NONE,
) -> View:  # fmt: skip
    """The page for what is there."""
    told = {key: one for result in status.results for key, one in result.items() if key in {"documents", "reports"}}
    filed = told.get("reports")
    tables = [documents_table(words, rows, told.get("documents"), status)]
    if built.document is not None:
        tables.append(fields_table(words, built.document))
    if built.checks:
        tables.append(checks_table(words, built.checks))
    if filed:
        tables += filed_tables(words, filed)
    return View(
        sheet=Sheet(title=words("title"), figures=_figures(words, built, size), tables=tables), rows=rows, choice=choice, built=built, size=size,
        status=status, build=build, filed=filed,
    )  # fmt: skip


def documents_table(
    words: Words, rows: Sequence[Mapping[str, Any]], standing: Sequence[Mapping[str, Any]] | None, status: Job
) -> Table:
    """A row a document: law, due date, audiences, and how complete it is for the audience that sees least of it done."""
    found = [{**_row(words, row), **_standing(words, row["document"], standing)} for row in rows]
    marks: Mapping[str, Mark] = {words("complete"): "good", words("incomplete"): "warn"}
    columns = (
        Column(key="title", label=words("column.title"), width="large"),
        *((Column(key="status", label=words("column.status"), marks=marks), Column(key="open", label=words("column.open"), kind="count")) if standing else ()),
        Column(key="due", label=words("column.due"), width="medium"), Column(key="law", label=words("column.law"), width="medium"),
        Column(key="verified", label=words("column.verified"), kind="yesno"), Column(key="audiences", label=words("column.audiences"), width="medium"),
        Column(key="scope", label=words("column.scope")), Column(key="languages", label=words("column.languages")), Column(key="fields", label=words("column.fields"), kind="count"),
        Column(key="document", label=words("column.document"), width="medium"),
    )  # fmt: skip
    note = words("standing_at", time=words.time(status.started_at)) if standing else words("standing_none")
    return Table(name="documents", title="", columns=columns, rows=found, note=note)


def _row(words: Words, row: Mapping[str, Any]) -> Mapping[str, Any]:
    told = {key: row[key] for key in ("document", "title", "due", "law", "verified", "fields")}
    return {
        **told,
        "scope": words.named("scope", row["scope"]),
        "audiences": ", ".join(words.named("audience", one) for one in row["audiences"]),
        "languages": " ".join(row["languages"]),
    }


def _standing(words: Words, document: str, standing: Sequence[Mapping[str, Any]] | None) -> Mapping[str, Any]:
    found = [one for one in standing or () if one["document"] == document]
    if not found:
        return {}
    if any(one["complete"] is None for one in found):
        return {"status": words("no_subject"), "open": None}
    least = max(found, key=lambda one: one["of"] - one["answered"])
    return {"status": words("complete" if least["complete"] else "incomplete"), "open": least["of"] - least["answered"]}


def _figures(words: Words, built: Built, size: int) -> tuple[Figure, ...]:
    made = built.document
    if made is None:
        return ()
    at, still = made.provenance.checkpoint.size, made.status.of - made.status.answered
    behind = max(0, size - at)
    owners = {claim.owner for claim in made.claims if claim.due is not None}
    dates = sorted(claim.due.date for claim in made.claims if claim.due is not None and claim.due.date)
    return (
        Figure(label=words("completeness"), value=words("n_of", n=words.count(made.status.answered), of=words.count(made.status.of)), note=words("complete" if made.status.complete else "incomplete"), mark="good" if made.status.complete else "warn"),
        Figure(label=words("still_open"), value=words.count(still), note=words("owed_by", owners=", ".join(sorted(owners))) if owners else words("nothing_open")),
        Figure(label=words("next_due"), value=words.day(dates[0]) if dates else words("no_date"), note=words("next_due_note")),
        Figure(label=words("drawn_at"), value=words.count(at), note=words("behind", n=words.count(behind)) if behind else words("newest"), mark="warn" if behind else ""),
        _badge(words, built),
    )  # fmt: skip


def _badge(words: Words, built: Built) -> Figure:
    """What the check of the built PDF found, in a word."""
    count = {result: sum(one["result"] == result for one in built.checks) for result in RESULTS}
    if not built.checks:
        return Figure(label=words("validation"), value=words("not_validated"), note=words("not_validated_note"))
    told = words(
        "checks_told", ok=words.count(count["ok"]), failed=words.count(count["failed"]), none=words.count(count["not checked"])
    )
    return Figure(
        label=words("validation"),
        value=words("invalid" if count["failed"] else "valid"),
        note=told,
        mark="bad" if count["failed"] else "good",
    )


def fields_table(words: Words, made: Document) -> Table:
    """A row a field: what it is, how it stands, who owes it, when it is due. Open ones first."""
    rows = [_field(words, claim) for claim in ordered(made)]
    columns = (
        Column(key="ref", label=words("column.ref")), Column(key="label", label=words("column.field"), width="large"),
        Column(key="state", label=words("column.state"), marks={words.named("state", state): mark for state, mark in STATES.items()}),
        Column(key="owner", label=words("column.owner")), Column(key="due", label=words("column.due"), width="medium"), Column(key="date", label=words("column.date")),
        Column(key="by", label=words("column.by")), Column(key="id", label=words("column.id"), width="medium"),
    )  # fmt: skip
    return Table(name="fields", title=made.title, columns=columns, rows=rows, note=words("fields_note"))


def ordered(made: Document) -> list[Claim]:
    """As in the table."""
    return sorted(made.claims, key=lambda claim: claim.due is None)


def _field(words: Words, claim: Claim) -> Mapping[str, Any]:
    said = claim.statement
    return {
        "id": claim.id, "ref": claim.ref, "label": claim.label, "state": words.named("state", claim.state), "owner": claim.owner,
        "due": claim.due.label if claim.due else None, "date": words.day(claim.due.date) if claim.due and claim.due.date else None,
        "by": f"{said.by}{f' ({said.note})' if said.note else ''}" if said else None,
    }  # fmt: skip


def checks_table(words: Words, checks: Sequence[Mapping[str, str]]) -> Table:
    """Each check of a file: what it looks at in our words, what it found as the verifier says it."""
    rows = [
        {"check": words.named("check", one["name"]), "result": words.named("result", one["result"]), "told": one["told"]}
        for one in checks
    ]
    columns = (
        Column(key="result", label=words("column.result"), marks={words.named("result", one): mark for one, mark in RESULTS.items()}),
        Column(key="check", label=words("column.check"), width="large"), Column(key="told", label=words("column.told"), width="large"),
    )  # fmt: skip
    return Table(name="checks", title=words("checks"), columns=columns, rows=rows, note=words("checks_note"))


def filed_tables(words: Words, filed: Sequence[Mapping[str, Any]]) -> list[Table]:
    """The register: a row a report, and a row a step of each."""
    reports = [
        {
            "document": one["document"], "about": one["about"], "audience": words.named("audience", one["audience"]), "language": one["language"],
            "state": words.named("filing", one["state"]), "changed": None if one["changed"] is None else len(one["changed"]), "kept": one["kept"], "file": one["file"],
        }
        for one in filed
    ]  # fmt: skip
    steps = [
        {
            "document": f"{one['document']} {one['about']}", "state": words.named("filing", step["state"]), "time": step["filed_at"], "by": f"{step['by']}{step['mark']}",
            "recipient": step["recipient"], "receipts": ", ".join(receipt["name"] for receipt in step["receipts"]) or None, "note": step["note"], "leaf": step["leaf"],
        }
        for one in filed
        for step in one["steps"]
    ]  # fmt: skip
    return [
        Table(name="filed", title=words("filed"), columns=_columns(words, ("document", "about", "audience", "language", "state"), changed="count", kept="yesno", file="digest"), rows=reports, note=words("filed_note")),
        Table(name="steps", title=words("steps"), columns=_columns(words, ("document", "state"), time="time", by="text", recipient="text", receipts="text", note="text", leaf="count"), rows=steps),
    ]  # fmt: skip


def _columns(words: Words, texts: Sequence[str], **kinds: Kind) -> tuple[Column, ...]:
    told: Mapping[str, Kind] = {**dict.fromkeys(texts, "text"), **kinds}  # type: ignore[dict-item]  # a literal
    return tuple(Column(key=key, label=words(f"column.{key}"), kind=kind) for key, kind in told.items())


def build_verbs(root: Path, choice: Choice, formats: str) -> list[list[str]]:
    """Arguments of `loopwright`: build it, then check the PDF."""
    about = ["--about", choice.about] if choice.about else []
    build = ["report", "build", choice.document, *about, "--language", choice.language, "--audience", choice.audience]
    verbs = [[*build, "--format", formats, "--workspace", str(root), "--json"]]
    if "pdf" in formats:
        pdf = root / OUTPUT / f"{choice.stem}.pdf"
        verbs.append(["report", "verify", str(pdf), "--workspace", str(root), "--json"])
    return verbs


def answer_command(
    claim: Claim, choice: Choice, kind: str, text: str, files: Sequence[str] = (), *, this_alone: bool = False
) -> str:
    """What a person types where their key is. The same act as a signature in the browser, spelt out."""
    parts = ["loopwright", "answer", claim.id, "--document", choice.document]
    if choice.about and (this_alone or choice.row["scope"] == "incident"):
        parts += ["--about", choice.about]
    if kind == "text":
        parts += [*(["--text", text] if text or not files else []), *(part for file in files for part in ("--file", file))]
    else:
        parts += ["--not-applicable", text] if kind == "not-applicable" else [f"--{kind}"]
    return shlex.join(parts)


def file_command(built: Built, root: Path, filed: Sequence[Mapping[str, Any]] | None) -> str:
    """The next step of the built PDF in the register."""
    state = next((one["state"] for one in filed or () if one["file"] == built.digest), "")
    following = {"": "reviewed", "reviewed": "approved", "approved": "submitted"}.get(state)
    if following is None or "pdf" not in built.files:
        return ""
    path = built.files["pdf"].relative_to(root).as_posix()
    more = ["--recipient", "..."] if following == "submitted" else []
    return shlex.join(["loopwright", "report", "file", path, "--state", following, *more])
