"""Page "Reports": the documents of the record, how complete each is, field by field; building, checking, taking away; what was filed."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from app import draw, jobs
from app.address import asked, go, one_of, tab, typed
from app.answering import answer
from app.draw import plain
from app.frame import Here, present
from app.jobs import Job
from app.sheet import Notice
from app.signing import outcome
from app.views.reports import (
    TABS,
    Asked,
    Choice,
    View,
    build_verbs,
    checks_table,
    file_command,
    ordered,
    read,
)
from loopwright.index import Index
from loopwright.ledger.access import saw
from loopwright.report.document import Claim
from loopwright.types import digest_bytes

SECONDS = 1.0  # between two looks at a job that runs
MEGABYTES = 50  # of a file that is to be checked
PREVIEW = 900  # pixels high


def show(here: Here, view: View) -> None:
    """The chosen tab."""
    words = here.words
    outcome(here)
    chosen = tab("tab", words("tabs"), {name: words(f"tab.{name}") for name in TABS})
    draw_tab = {"documents": _documents, "fields": _fields, "files": _files, "filed": _filed, "verify": _verify}[chosen]
    draw_tab(here, view)


def _documents(here: Here, view: View) -> None:
    _update(here, view)
    rows = draw.table(here.words, view.sheet.tables[0], select="single-row")
    if rows:
        go(document=view.rows[rows[0]]["document"], tab="fields")
        st.rerun()


def _update(here: Here, view: View) -> None:
    """How complete they all are, and the register: computed when somebody asks, in a process of its own."""
    words, name = here.words, f"reports-{here.words.language}"
    if view.status.state == "running":
        _progress(here, name)
    elif st.button(words("update"), key="update"):
        place = ["--workspace", str(here.root), "--json"]
        verbs = [["report", "status", "--language", words.language, *place], ["report", "register", *place]]
        jobs.start(here.root, name, verbs)
        st.rerun()
    _failed(here, view.status)


def _failed(here: Here, job: Job) -> None:
    if job.state == "failed":
        draw.notice(here.words, Notice(kind="error", title=here.words("job_failed"), detail=job.said))


def _progress(here: Here, name: str) -> None:
    """A line of what runs, looked at every second; the page is drawn anew when it has ended."""

    def again() -> None:
        job = jobs.look(here.root, name)
        if job.state != "running":
            st.rerun()
        said = here.words(
            "working", done=here.words.count(job.done), of=here.words.count(job.of), since=here.words.ago(job.started_at)
        )
        st.progress(job.done / max(1, job.of), plain(said))
        if job.said:
            st.text(job.said)

    st.fragment(again, run_every=SECONDS)()


def _chosen(here: Here, view: View) -> Choice | None:
    """The boxes to choose a document, its readers, its language and what it is about."""
    words = here.words
    with st.container(horizontal=True, vertical_alignment="bottom"):
        one_of(
            "document",
            words("column.document"),
            {"": words("choose"), **{row["document"]: f"{row['title']}" for row in view.rows}},
            width=360,
        )
        choice = view.choice
        if choice is None:
            return None
        audiences = {name: words.named("audience", name) for name in choice.row["audiences"]}
        one_of("audience", words("column.audience"), audiences, default=choice.row["audiences"][-1], width=180)
        languages = {name: name for name in choice.row["languages"]}
        one_of("written", words("column.language"), languages, default=choice.language, width=100)
        if choice.row["scope"] != "loop":
            typed("about", words("column.about"), placeholder=choice.about, width=130)
    st.text(choice.row["law"])
    law = "" if choice.row["verified"] else f" {words('law_unverified')}"
    draw.quiet(f"{choice.row['due']}.{law}")
    return choice


def _fields(here: Here, view: View) -> None:
    choice = _chosen(here, view)
    if choice is None:
        return
    _build(here, view, choice)
    made = view.built.document
    if made is None:
        return
    draw.figures(view.sheet.figures)
    table = next(one for one in view.sheet.tables if one.name == "fields")
    rows = draw.table(here.words, table, select="single-row")
    if rows:
        _field(here, view, choice, ordered(made)[rows[0]])


def _field(here: Here, view: View, choice: Choice, claim: Claim) -> None:
    """One field: what is wanted, what stands, and how to answer it."""
    words = here.words
    st.subheader(plain(f"{claim.ref} {claim.label}"), anchor=False)
    st.text(claim.help)
    draw.quiet(
        " · ".join(
            part
            for part in (claim.id, words.named("state", claim.state), claim.owner, claim.due.label if claim.due else "")
            if part
        )
    )
    if claim.reason:
        st.text(claim.reason)
    if claim.statement is not None and claim.statement.text:
        st.code(claim.statement.text, language=None, wrap_lines=True)
    answer(here, choice, claim, view.people)


def _build(here: Here, view: View, choice: Choice) -> None:
    words, job = here.words, view.build
    if job.state == "running":
        _progress(here, "report")
        return
    with st.container(horizontal=True):
        for formats, key in (("pdf,html,json", "build"), ("json", "build_fields")):
            if st.button(words(key), key=key):
                saw(here.root, "report", choice.stem, by=here.visitor.key)
                jobs.start(here.root, "report", build_verbs(here.root, choice, formats), {"stem": choice.stem})
                st.rerun()
    if (job.about or {}).get("stem") == choice.stem:
        _failed(here, job)


def _files(here: Here, view: View) -> None:
    choice = _chosen(here, view)
    if choice is None:
        return
    _build(here, view, choice)
    built = view.built
    if not built.files:
        st.text(here.words("not_built"))
        return
    draw.figures(view.sheet.figures)
    with st.container(horizontal=True):
        for kind, path in built.files.items():
            _download(here, kind, path)
    if built.checks:
        draw.table(here.words, checks_table(here.words, built.checks))
    command = file_command(built, here.root, view.filed)
    if command:
        st.text(here.words("file_next"))
        st.code(command, language=None, wrap_lines=True)
    if "html" in built.files:
        _preview(here, built.files["html"])


def _download(here: Here, kind: str, path: Path) -> None:
    def taken() -> bytes:
        data = path.read_bytes()
        saw(here.root, "export", f"{path.name} {digest_bytes(data)}", by=here.visitor.key)
        return data

    st.download_button(kind.upper(), data=taken, file_name=path.name, on_click="ignore", key=f"take-{path.name}")


def _preview(here: Here, path: Path) -> None:
    """The page in a frame of a frame: Streamlit's own may run scripts and reach the app, ours inside it may do nothing at all."""
    st.header(plain(here.words("preview")), anchor=False)
    title = html.escape(here.words("preview"), quote=True)
    inner = html.escape(path.read_text(encoding="utf-8"), quote=True)
    frame = f'<iframe sandbox="" title="{title}" srcdoc="{inner}" style="border:0;width:100%;height:{PREVIEW - 20}px;background:#fff"></iframe>'
    page = (
        f'<!doctype html><html lang="{here.words.language}"><title>{title}</title><body style="margin:0">{frame}</body></html>'
    )
    st.iframe(page, height=PREVIEW, alt=here.words("preview"))


def _filed(here: Here, view: View) -> None:
    _update(here, view)
    if view.filed is None:
        st.text(here.words("not_asked"))
    elif not view.filed:
        st.text(here.words("nothing_filed"))
    for table in view.sheet.tables:
        if table.name in {"filed", "steps"}:
            draw.table(here.words, table)


def _verify(here: Here, view: View) -> None:
    """A file that somebody was handed: checked in a process of its own, since it may be anything."""
    words = here.words
    file = st.file_uploader(words("upload"), type=["pdf"], max_upload_size=MEGABYTES, key="upload")
    if file is None:
        draw.quiet(words("upload_note"))
        return
    digest = digest_bytes(file.getvalue())
    name = f"verify-{digest[7:19]}"
    job = jobs.look(here.root, name)
    if job.state == "none":
        folder = here.root / jobs.FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "upload.pdf").write_bytes(file.getvalue())
        jobs.start(here.root, name, [["report", "verify", str(folder / "upload.pdf"), "--workspace", str(here.root), "--json"]])
        jobs.forget(here.root)
        st.rerun()
    if job.state == "running":
        _progress(here, name)
    _failed(here, job)
    for result in job.results:
        _checked(here, result)


def _checked(here: Here, result: Mapping[str, Any]) -> None:
    words, checks = here.words, result["checks"]
    bad = [one for one in checks if one["result"] == "failed"]
    title = words("upload_bad", n=words.count(len(bad))) if bad else words("upload_good")
    what = result["what"]
    told = f"{what['document']} {what['about']} ({what['audience']})\n{result['digest']}" if what else result["digest"]
    draw.notice(words, Notice(kind="error" if bad else "success", title=title, detail=told))
    draw.table(words, checks_table(words, checks))


def _asked(index: Index, here: Here) -> View:
    told = Asked(document=asked("document"), audience=asked("audience"), language=asked("written"), about=asked("about"))
    return read(index, here, told)


present("reports", _asked, show)
