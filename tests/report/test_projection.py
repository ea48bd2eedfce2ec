"""What one audience may not see is nowhere in another's build: not in its data, its page, its file, nor in what is attached to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pikepdf
import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from loopwright.ledger.acts import Acts
from loopwright.ledger.answers import keep
from loopwright.ledger.statement import Statement
from loopwright.report.declaration import AUDIENCES, Declaration, FieldSpec
from loopwright.report.document import Document
from loopwright.report.enclosed import DOCUMENT, EVIDENCE, enclosed
from loopwright.report.engine import build_from, document_of
from loopwright.report.facts import Fact
from loopwright.report.loading import Loaded, load
from loopwright.report.record import Record, open_record
from loopwright.report.render import render
from loopwright.report.sources import Sources, documents
from loopwright.types import canonical, digest_bytes
from tests.report.recorded import record_loop

REPORTS = Path(__file__).parents[2] / "reports"
ALL = documents(REPORTS.parent)


def mark(*parts: str) -> str:
    """A word that stands for one thing and occurs nowhere else."""
    return "q" + digest_bytes("/".join(parts).encode())[7:23]


class Marked(dict[str, Fact]):
    """A catalogue in which every fact is its own mark; none says that something does not apply."""

    def __missing__(self, path: str) -> Fact:
        self[path] = Fact(value=mark("fact", path), leaves=(0,), method="recorded")
        return self[path]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Record]:
    """Its facts are marks, and each field of every document is answered with one."""
    root = record_loop(tmp_path_factory.mktemp("marked") / "lab", 1)
    found = open_record(root)
    key = found.state.roster.current("person")[0].id
    answers = [_answer(root, key, mark("id", name, field.id)) for name in ALL for field in load(root, name).declaration.fields]
    state = replace(found.state, acts=Acts(answers=tuple(answers)))
    made = Record(root, found.log, state, {("c0000", ""): Marked()})
    return lambda: made  # what a property test is given is shown where it fails, and a record is long


def _answer(root: Path, key: str, field: str) -> Statement:
    said = {
        "field": field, "about": "loop", "version": 1, "state": "statement", "digest": keep(root, mark("words", field), None, []),
        "media_type": None, "confirms": None, "answered_at": "2026-11-22T09:00:00Z",
    }  # fmt: skip
    return Statement(index=0, kind="answer", subjects=(), predicate=said, keyid=key)


def marked(root: Path, name: str, hidden_from: Mapping[str, set[str]]) -> Loaded:
    """A document in which ids and words are marks, for all audiences; some fields are hidden from some of them."""
    loaded = load(root, name)
    told = loaded.declaration
    sections, words = [], dict[str, Any]()
    for section in told.sections:
        fields = []
        for field in section.fields:
            new = mark("id", name, field.id)
            who = tuple(one for one in AUDIENCES if one == "internal" or one not in hidden_from.get(field.id, set()))
            fields.append(field.model_copy(update={"id": new, "audience": who, "na": (), "show": None, "views": ()}))
            words[new] = {"label": mark("label", new), "help": mark("help", new)}
        sections.append(section.model_copy(update={"fields": tuple(fields), "id": section.id}))
    declaration: Declaration = told.model_copy(update={"sections": tuple(sections), "audiences": AUDIENCES, "scope": "loop"})
    titles = {section.id: mark("title", name, section.id) for section in told.sections}
    parts = {section.part: "q" for section in told.sections if section.part}
    labels = {"title": "t", "purpose": "p", "limits": "l", "applies": "a", "parts": parts, "sections": titles, "fields": words}
    files = {path: data for path, data in loaded.sources.files.items() if path != f"{name}/template.html.j2"}
    files[f"{name}/labels.en.yaml"] = yaml.safe_dump(labels).encode()
    return Loaded(sources=Sources(document=name, files=files), declaration=declaration, law=loaded.law)


def marks_of(loaded: Loaded, audience: str) -> tuple[set[str], set[str]]:
    """Marks of what the audience may see, and of what it may not."""
    seen, hidden = set[str](), set[str]()
    for section in loaded.declaration.sections:
        shown = [field for field in section.fields if audience in (field.audience or ())]
        (seen if shown else hidden).add(mark("title", loaded.name, section.id))
        for field in section.fields:
            own = {field.id, mark("label", field.id), mark("help", field.id), mark("words", field.id)}
            (seen if field in shown else hidden).update(own | {mark("fact", path) for path in field.query})
    return seen, hidden - seen


@settings(max_examples=30, deadline=None, phases=[Phase.generate])
@given(name=st.sampled_from(ALL), audience=st.sampled_from(AUDIENCES), seed=st.integers(0, 2**32))
def test_what_is_hidden_is_nowhere_in_data_and_page(opened: Callable[[], Record], name: str, audience: str, seed: int) -> None:
    record, chance = opened(), Random(seed)
    fields = [field.id for field in load(record.root, name).declaration.fields]
    outsiders = [one for one in AUDIENCES if one != "internal"]
    hidden_from = {field: set(chance.sample(outsiders, chance.randint(0, 4))) for field in fields}
    loaded = marked(record.root, name, hidden_from)
    made = document_of(record, loaded, None, language="en", audience=audience)
    html = render(made, loaded.words("en"), loaded.sources, DOCUMENT, "", {}).html
    _nowhere(made, html, *marks_of(loaded, audience))
    visible = [field for field in fields if audience not in hidden_from[field]]
    assert made.status.of == len(made.claims) == len(visible)
    assert {row.id for row in made.evidence} == {ref for claim in made.claims for ref in _refs(claim)}


def _refs(claim: Any) -> set[str]:
    said = claim.statement.evidence if claim.statement else ()
    return {*said, *(ref for fact in claim.facts for ref in fact.evidence)}


def _nowhere(made: Document, html: str, seen: set[str], hidden: set[str]) -> None:
    data = made.model_dump_json()
    assert [one for one in hidden if one in data or one in html] == []
    ids = {claim.id for claim in made.claims}
    assert ids <= seen
    assert all(one in html for one in ids)  # the check can see what is there


def test_what_is_hidden_is_not_in_the_file_nor_in_what_is_attached(
    opened: Callable[[], Record], tmp_path: Path, require: Callable[..., None]
) -> None:
    require("pdftotext")
    record = opened()
    fields = [field.id for field in load(record.root, "profile").declaration.fields]
    loaded = marked(record.root, "profile", {field: {"public"} for field in fields[::2]})
    _, hidden = marks_of(loaded, "public")
    built = build_from(record, loaded, None, tmp_path, language="en", audience="public")
    text = subprocess.run(["pdftotext", built.pdf, "-"], check=True, capture_output=True, text=True).stdout
    with pikepdf.open(built.pdf) as pdf:
        plain = b"".join(item.read_bytes() for item in pdf.objects if isinstance(item, pikepdf.Stream) and "/Filter" in item)
        attached = b"".join(one.get_file().read_bytes() for one in pdf.attachments.values())
        names = " ".join(pdf.attachments)
    every = text + plain.decode("latin-1") + attached.decode() + names + built.files["html"].read_text()
    assert [one for one in hidden if one in every] == []
    assert all(field.id in text for field in loaded.declaration.fields[1::2])


@pytest.mark.parametrize(
    ("document", "file", "path"),
    [
        ("bill-of-materials", "bom.cdx.json", "model.id"),
        ("model-documentation", "bom.cdx.json", "model.id"),
        ("compute-account", "compute-ledger.csv", "compute.ledger"),
    ],
)
def test_an_enclosed_file_is_made_of_what_its_audience_sees(answered: Path, document: str, file: str, path: str) -> None:
    """Where the field that a file is drawn from is hidden, outsiders get no such file, and no proof of what is hidden."""
    record, loaded = open_record(answered), load(answered, document)
    sections = tuple(
        section.model_copy(update={"fields": tuple(map(partial(_hidden, path), section.fields))})
        for section in loaded.declaration.sections
    )
    loaded = replace(loaded, declaration=loaded.declaration.model_copy(update={"sections": sections, "audiences": AUDIENCES}))
    names = dict[str, set[str]]()
    for audience in ("internal", "public"):
        made = document_of(record, loaded, None, language="en", audience=audience)
        page = render(made, loaded.words("en"), loaded.sources, DOCUMENT, "", loaded.labels("en").text)
        files = enclosed(made, canonical(made.model_dump(mode="json", by_alias=True)), page.files, record, loaded.words("en"))
        names[audience] = {one.name for one in files}
        proofs = json.loads(next(one.data for one in files if one.name == EVIDENCE))
        assert {one["leaf"] for one in proofs["proofs"]} == {row.leaf for row in made.evidence if row.leaf is not None}
        assert {row["id"] for row in proofs["evidence"]} == {
            ref for claim in made.claims for ref in (*_refs(claim), *claim.grounds)
        }
        assert any(fact.path == path for claim in made.claims for fact in claim.facts) == (audience == "internal")
    assert file in names["internal"] - names["public"]


def _hidden(path: str, field: FieldSpec) -> FieldSpec:
    """The field, for those within alone where it asks for this, or for anything that a view of it shows."""
    asked = {*field.query, *(each for view in field.views for each in view.query)}
    return field.model_copy(update={"audience": ("internal",) if path in asked else AUDIENCES})
