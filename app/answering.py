"""An answer to a field of a report, written and signed in the browser, its files with it; or spelt out for whoever's key lies elsewhere."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from app import draw
from app.counter import Given, Letter, reply
from app.frame import Here
from app.signing import Paper, sign
from app.views.reports import KINDS, Choice, answer_command
from loopwright.ledger.answers import LOOP
from loopwright.report.document import Claim

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

__all__ = ["Words", "answer", "given_of"]

MEGABYTES = 20
"""Of a file that is attached."""
_STATES = {"text": "statement", "confirm": "confirmed", "not-applicable": "not-applicable", "withdraw": "withdrawn"}
_ALLOWED: Mapping[str, Sequence[str]] = {
    "auto": ("not-applicable", "withdraw"),
    "auto+human": KINDS,
    "human": ("text", "not-applicable", "withdraw"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What somebody is about to say."""

    kind: str
    text: str = ""
    files: Sequence[UploadedFile] = ()
    alone: bool = False
    """About this cycle, not about the loop."""

    @property
    def complete(self) -> bool:
        """There is something to sign."""
        return self.kind in {"confirm", "withdraw"} or bool(self.text.strip()) or (self.kind == "text" and bool(self.files))


def answer(here: Here, choice: Choice, claim: Claim, people: Mapping[str, str]) -> None:
    """What is answered and how it is signed; ``people``: key ids of enrolled persons with names."""
    words = here.words
    allowed = _ALLOWED[claim.source]
    kind = st.radio(
        words("answer_how"), allowed, format_func=lambda one: words(f"answer.{one}"), horizontal=True, key=f"how-{claim.id}"
    )
    told = _written(here, choice, claim, kind)

    def letter(key: str) -> Letter:
        files = [
            (one.name, mimetypes.guess_type(one.name)[0] or "application/octet-stream", one.getvalue()) for one in told.files
        ]
        return reply(here.root, given_of(here.root, choice, claim, told), key, files)

    names = [one.name for one in told.files]
    paper = Paper(
        name=f"answer-{claim.id}", label=words("answer_sign"), make=letter, signers=people, barred={}, ways=("browser", "command"),
        inputs=(kind, told.text, told.alone, *((one.name, one.file_id) for one in told.files)), ready="" if told.complete else words("answer_first"),
        command=answer_command(claim, choice, kind, told.text, names, this_alone=told.alone),
    )  # fmt: skip
    sign(here, paper)
    draw.quiet(words("answer_note"))


def _written(here: Here, choice: Choice, claim: Claim, kind: str) -> Words:
    words, text, alone = here.words, "", False
    files: list[Any] = []
    if kind in {"text", "not-applicable"}:
        text = st.text_area(words("answer_text"), key=f"text-{claim.id}", max_chars=20_000) or ""
    if kind == "text":
        files = st.file_uploader(
            words("answer_files"), accept_multiple_files=True, max_upload_size=MEGABYTES, key=f"files-{claim.id}"
        )
    if choice.row["scope"] == "cycle":
        alone = st.checkbox(draw.plain(words("answer_alone", cycle=choice.about)), key=f"alone-{claim.id}")
    return Words(kind=kind, text=text, files=files, alone=alone)


def given_of(root: Path, choice: Choice, claim: Claim, told: Words) -> Given:
    """What the person says, as the record takes it; UsageError where there are no facts to confirm."""
    from loopwright.report.fields import facts_digest, find_field

    about = choice.about if told.alone or choice.row["scope"] == "incident" else ""
    confirms = None
    if told.kind == "confirm":
        about, confirms = facts_digest(root, find_field(root, claim.id, choice.document), about or None)
    text = told.text.strip() if told.kind in {"text", "not-applicable"} else ""
    return Given(
        field=claim.id, document=choice.document, about=about or LOOP, state=_STATES[told.kind], text=text or None, confirms=confirms
    )  # fmt: skip
