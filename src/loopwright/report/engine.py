"""Builds a document: checked record -> facts -> claims of one audience -> data -> HTML and PDF, with the data beside and inside it.

A report is a pure function of checkpoint, report sources and installed packages, and prints all three. It is drawn only
from entries under a signed checkpoint that an offline audit has found in order.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import loopwright
from loopwright.errors import InfraError, UsageError
from loopwright.identity import lock_digest
from loopwright.report import document as doc
from loopwright.report.claims import Subject, claims_of, projected
from loopwright.report.enclosed import DOCUMENT, enclosed
from loopwright.report.evidence import EvidenceIndex
from loopwright.report.law import Act
from loopwright.report.loading import Loaded, load
from loopwright.report.pdf import typeset, typesetter
from loopwright.report.record import Record, open_record
from loopwright.report.render import render
from loopwright.report.vocabulary import Vocabulary
from loopwright.types import Digest, canonical, digest_bytes

__all__ = ["FORMATS", "BuiltReport", "build", "build_from", "document_of", "file_stem"]

FORMATS = ("pdf", "html", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltReport:
    """A document on disk, and what it is a function of."""

    files: Mapping[str, Path]
    """By format."""
    digests: Mapping[str, Digest]
    document: doc.Document

    @property
    def pdf(self) -> Path:
        """Where that format was asked for."""
        return self.files["pdf"]

    @property
    def json(self) -> Path:
        """Likewise."""
        return self.files["json"]


def build(
    root: Path,
    document: str,
    cycle: str | None = None,
    output: Path | None = None,
    *,
    language: str = "en",
    audience: str = "internal",
    formats: Collection[str] = FORMATS,
) -> BuiltReport:
    """Build a document of the workspace at ``root``.

    Args:
        root: the workspace.
        document: a folder of ``reports/``, for example ``cycle``.
        cycle: for example ``c0003`` (of an incident's document: its id); the newest closed one by default.
        output: folder for the files; ``build/reports`` of the workspace by default.
        language: one that the document has labels in.
        audience: one that the document is for.
        formats: of `FORMATS`.

    Raises:
        IntegrityError: the record is not in order; nothing is drawn from it.
        UsageError: no such document, cycle, language or audience, or the document's sources are wrong.
        InfraError: pango is missing, or the disk is full.
    """
    loaded = load(root, document)
    return build_from(open_record(root), loaded, cycle, output, language=language, audience=audience, formats=formats)


def build_from(
    record: Record, loaded: Loaded, cycle: str | None, output: Path | None, *, language: str, audience: str,
    formats: Collection[str] = FORMATS,
) -> BuiltReport:  # fmt: skip
    """As `build`, from what is open already."""
    made = document_of(record, loaded, cycle, language=language, audience=audience, versions=typesetter())
    payload = canonical(made.model_dump(mode="json", by_alias=True))
    contents: dict[str, bytes] = {"json": payload} if "json" in formats else {}
    if {"pdf", "html"} & set(formats):
        page = render(made, loaded.words(language), loaded.sources, DOCUMENT, _command(made), loaded.labels(language).text)
        if "html" in formats:
            contents["html"] = _standalone(page.html, {**loaded.sources.files, **page.pictures}).encode()
        if "pdf" in formats:
            inside = enclosed(made, payload, page.files, record, loaded.words(language))
            contents["pdf"] = typeset(
                page.html, {**loaded.sources.files, **page.pictures}, inside, datetime.fromisoformat(made.about.as_of)
            )
    folder = output or record.root / "build" / "reports"
    files = {kind: _write(folder / f"{file_stem(made)}.{kind}", data) for kind, data in contents.items()}
    return BuiltReport(files=files, digests={kind: digest_bytes(data) for kind, data in contents.items()}, document=made)


def document_of(
    record: Record,
    loaded: Loaded,
    asked: str | None,
    *,
    language: str,
    audience: str,
    versions: Mapping[str, str] | None = None,
) -> doc.Document:
    """All that the document says to one audience, as data: projected before anything else is done with it."""
    if audience not in loaded.declaration.audiences:
        raise UsageError(f"{loaded.name} is not for {audience!r}", f"one of: {', '.join(loaded.declaration.audiences)}")
    labels, words = loaded.labels(language), loaded.words(language)
    declaration = projected(loaded.declaration, audience)
    about, cycle = record.about(declaration.scope, asked, declaration.incident)
    facts, index = record.facts(about, cycle, declaration.incident), EvidenceIndex(record.log, record.state)
    subject = Subject(root=record.root, state=record.state, facts=facts, about=about, law=loaded.law, words=words)
    sections = claims_of(declaration, labels, subject, index)
    return doc.Document(
        document=loaded.name,
        title=labels.title,
        purpose=labels.purpose,
        limits=labels.limits,
        language=language,
        audience=audience,
        about=_about(record, declaration.scope, about, cycle),
        law=_applies(loaded.law.acts[declaration.law.act], declaration.law.ref, labels.applies, declaration.law.act, words),
        status=_status(sections),
        sections=sections,
        evidence=index.rows,
        provenance=_provenance(record, loaded, versions or {}),
    )


def _about(record: Record, scope: str, about: str, cycle: str) -> doc.About:
    state = record.state
    return doc.About(
        scope=scope, id=about, cycle=cycle, loop=state.name, workspace=state.workspace, demo=state.demo, as_of=_to_second(state.latest)  # type: ignore[arg-type]  # the declaration's
    )  # fmt: skip


def _to_second(moment: str) -> str:
    return datetime.fromisoformat(moment).isoformat(timespec="seconds").replace("+00:00", "Z")


def _applies(act: Act, ref: str, words: str, name: str, vocabulary: Vocabulary) -> doc.Applies:
    return doc.Applies(
        act=name,
        ref=ref,
        title=vocabulary.of(act.title),
        cite=vocabulary.of(act.cite),
        version=vocabulary.of(act.version),
        verified=act.verified == "official-journal",
        note=vocabulary.of(act.note) if act.note else "",
        words=words,
    )


def _status(sections: tuple[doc.Section, ...]) -> doc.Status:
    states = [claim.state for section in sections for claim in section.claims]
    counts: dict[str, int] = {state: states.count(state) for state in doc.STATES if state in states}
    still = counts.get("draft", 0) + counts.get("not provided", 0)
    return doc.Status(complete=not still, answered=len(states) - still, of=len(states), by_state=counts)


def _provenance(record: Record, loaded: Loaded, versions: Mapping[str, str]) -> doc.Provenance:
    note = record.checkpoint
    return doc.Provenance(
        checkpoint=doc.Checkpoint(origin=note.origin, size=note.size, root="sha256:" + note.root.hex()),
        sources=loaded.sources.digest,
        lock=lock_digest(),
        versions={"loopwright": loopwright.__version__, **versions},
    )


def file_stem(made: doc.Document) -> str:
    """Name of its files, without the ending."""
    about = f"-{made.about.id}" if made.about.scope != "loop" else ""
    return f"{made.document}{about}-{made.audience}-{made.language}"


def _command(made: doc.Document) -> str:
    about = {"cycle": f" --cycle {made.about.id}", "incident": f" --about {made.about.id}", "loop": ""}[made.about.scope]
    return f"loopwright report build {made.document}{about} --language {made.language} --audience {made.audience}"


_LINK = re.compile(r'<link rel="stylesheet" href="([^"]+)">')
_PICTURE = re.compile(r'<img src="([^"]+\.svg)"')
_URL = re.compile(r'url\("([^"]+)"\)')
_CSP = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:\">"


def _standalone(html: str, files: Mapping[str, bytes]) -> str:
    """One file: style sheets and fonts inside, and nothing that a browser may fetch."""

    def inside(folder: str, css: str) -> str:
        def data(found: re.Match[str]) -> str:
            path = f"{folder}/{found[1]}"
            return f'url("data:font/woff2;base64,{base64.b64encode(files[path]).decode()}")' if path in files else found[0]

        return _URL.sub(data, css)

    def style(found: re.Match[str]) -> str:
        return f"<style>\n{inside(found[1].rpartition('/')[0], files[found[1]].decode())}</style>" if found[1] in files else ""

    def picture(found: re.Match[str]) -> str:
        return f'<img src="data:image/svg+xml;base64,{base64.b64encode(files[found[1]]).decode()}"'

    return _PICTURE.sub(picture, _LINK.sub(style, html)).replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{_CSP}', 1)


def _write(path: Path, data: bytes) -> Path:
    """Put the file in place whole; a reader never sees half of one."""
    draft = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InfraError(f"cannot write {path}: {error.strerror}", "make room or choose another --output") from error
    return path
