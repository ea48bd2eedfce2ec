"""Documents are archival and accessible, the same bytes in every process, drawn from a sound record alone, and say what is missing."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import page
import pikepdf
import pydyf
import pytest
from jsonschema import Draft202012Validator

from loopwright.errors import InfraError, IntegrityError, UsageError, WorkspaceError
from loopwright.report import build, documents
from loopwright.report.pdf import _finish, _unambiguous
from loopwright.report.render import ROWS
from loopwright.types import digest_bytes
from tests.report.recorded import Recorder, record_loop, summary


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_loop(tmp_path_factory.mktemp("reported") / "lab", running=True)


@pytest.fixture
def text_of(require: Callable[..., None]) -> Callable[[Path], str]:
    require("pdftotext")

    def read(pdf: Path) -> str:
        found = subprocess.run(["pdftotext", "-layout", pdf, "-"], check=True, capture_output=True, text=True)
        return re.sub(r"\s+", " ", found.stdout)

    return read


def copied(workspace: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(workspace, tmp_path / "copy", ignore=shutil.ignore_patterns("build")))


def own(root: Path, repository: Path, document: str = "cycle") -> Path:
    """The workspace's own version of a document."""
    return Path(shutil.copytree(repository / "reports" / document, root / "reports" / document))


@pytest.mark.parametrize(
    ("document", "cycle", "language"),
    [
        ("cycle", "c0000", "de"),
        ("cycle", "c0003", "en"),
        ("cycle", "c0004", "de"),
        ("loop", None, "en"),
        ("profile", None, "de"),
    ],
)
def test_it_is_archival_and_accessible(
    workspace: Path, document: str, cycle: str | None, language: str, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    built = build(workspace, document, cycle, language=language)
    assert [record.getMessage() for record in caplog.records] == []
    for profile in (page.ValidationProfile.PDF_A_3A, page.ValidationProfile.PDF_UA_1):
        report = page.validate_pdf(str(built.pdf), profile=profile)
        assert [(failure.rule_id, failure.message) for failure in report.failures] == []
        assert report.is_compliant
    with pikepdf.open(built.pdf) as pdf:
        assert str(pdf.Root.Lang) == language
        assert len(pdf.pages) <= {"cycle": 3}.get(document, 20)
        fonts = {str(item.BaseFont).partition("+")[2] for item in pdf.objects if _is_font(item)}
        assert fonts <= {"Inter", "Inter-Semi-Bold", "Plex", "Europe", "Europe-Semi-Bold"}
        with pdf.open_outline() as outline:
            assert [section.title for section in outline.root[0].children]
        assert pdf.attachments["document.json"].get_file().read_bytes() == built.json.read_bytes()
    assert built.digests == {kind: digest_bytes(path.read_bytes()) for kind, path in built.files.items()}
    schema = json.loads((repository / "reports/schema/document.json").read_bytes())
    assert list(Draft202012Validator(schema).iter_errors(json.loads(built.json.read_bytes()))) == []


def test_no_stream_ends_where_its_end_cannot_be_told() -> None:
    """A stream that ends in a carriage return is written anew with other offsets; what never comes right is said."""
    files = {0: b"stream\nx\r\nendstream", 1: b"stream\ny\r\nendstream", 2: b"stream\nz\nendstream"}
    assert _unambiguous(lambda pad: files[pad]) == files[2]
    with pytest.raises(InfraError, match="unambiguous"):
        _unambiguous(lambda pad: files[0])


@pytest.mark.parametrize("kind", [b"/ObjStm", b"/XRef"])
def test_packed_objects_and_offsets_come_right(kind: bytes) -> None:
    """Both are made after the finisher; of 256 documents one ends so by chance, in either."""

    def written(title: int, pad: int) -> bytes:
        pdf, file = pydyf.PDF(), io.BytesIO()
        pdf.add_object(pydyf.Stream([b"<rdf:RDF>", b"<x/>" * title, b"</rdf:RDF>"], compress=True))
        pdf.catalog["Metadata"] = pdf.objects[-1].reference
        pdf.info["Title"] = pydyf.String(str(title))
        _finish(None, pdf, pad=pad)
        pdf.write(file, b"1.7", identifier=True, compress=True)
        return file.getvalue()

    def ends_so(data: bytes) -> bool:
        return b"\r\nendstream" in data.partition(b"/Type " + kind)[2].partition(b"endobj")[0]

    title = next(title for title in range(10_000) if ends_so(written(title, 0)))
    assert b"\r\nendstream" not in _unambiguous(partial(written, title))


def _is_font(item: pikepdf.Object) -> bool:
    return isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/Font" and "/BaseFont" in item


def test_two_processes_write_the_same_bytes(workspace: Path, tmp_path: Path, repository: Path) -> None:
    code = "import sys; from pathlib import Path; from loopwright.report import build\n"
    code += "print(sorted(build(Path(sys.argv[1]), 'cycle', 'c0003', Path(sys.argv[2]), language='de').digests.items()))"
    said = set()
    for number, (place, zone) in enumerate([(repository, "UTC"), (tmp_path, "Pacific/Auckland")]):
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "TZ": zone, "LC_ALL": "C"}
        command = [sys.executable, "-c", code, str(workspace), str(tmp_path / str(number))]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=place, env=environment)
        said.add(done.stdout)
    assert len(said) == 1


def test_values_are_in_the_language_of_the_reader(workspace: Path, text_of: Callable[[Path], str]) -> None:
    english, german = (text_of(build(workspace, "cycle", "c0003", language=one, formats=("pdf",)).pdf) for one in ("en", "de"))
    for text, expected in (
        (
            english,
            (
                "0.260 (0.213 to 0.313; n 290; Wilson, 95 %)",
                "rejected",
                "4,800",
                "22 November 2026",
                "demonstration key, not a person",
            ),
        ),
        (
            german,
            (
                "0,260 (0,213 bis 0,313; n 290; Wilson, 95 %)",
                "abgelehnt",
                "4.800",
                "22. November 2026",
                "Vorführschlüssel und keine Person",
            ),
        ),
    ):
        for words in expected:
            assert words in text, words
        assert not re.search(r"\bNone\b|\bnull\b|Undefined", text)


def test_each_claim_names_entries_that_the_index_has(workspace: Path, text_of: Callable[[Path], str]) -> None:
    built = build(workspace, "cycle", "c0003")
    known = {row.id for row in built.document.evidence}
    used = {ref for claim in built.document.claims for fact in claim.facts for ref in fact.evidence}
    assert used <= known
    assert all(fact.evidence for claim in built.document.claims for fact in claim.facts if claim.state == "value")
    text = text_of(built.pdf)
    for row in built.document.evidence:
        digits = row.sha256[7:]
        assert " ".join(digits[at : at + 8] for at in range(0, 64, 8)) in text
    entries = [row for row in built.document.evidence if row.kind == "entry"]
    from loopwright.ledger.audit import audit

    log = audit(workspace / "ledger")
    assert {row.leaf: row.sha256 for row in entries} == {row.leaf: digest_bytes(log.entries[row.leaf or 0]) for row in entries}


def test_what_is_not_recorded_says_so(workspace: Path, text_of: Callable[[Path], str]) -> None:
    opened = build(workspace, "cycle", "c0004")
    assert "INCOMPLETE" in text_of(opened.pdf)
    assert text_of(opened.pdf).count("NOT PROVIDED") == opened.document.status.by_state["not provided"] >= 12
    first = text_of(build(workspace, "cycle", "c0000", language="de", formats=("pdf",)).pdf)
    assert "NICHT ZUTREFFEND. Es ist das erste Modell" in first


def test_written_text_stays_text_and_long_text_is_cut(tmp_path: Path, text_of: Callable[[Path], str]) -> None:
    recorder = Recorder(tmp_path / "lab", demo=False)
    recorder.turn(0)
    recorder.open(1)
    hostile = "<script>alert(1)</script><img src='file:///etc/passwd'> {{ 7*7 }} \u202etxt \u4e2d\u6587 \u0000 @import url(http://x.example/y.css)"
    recorder.phase("generate", 1)
    recorder.phase("decide", 1, {**summary("decide", 1), "reasons": [hostile, "x" * 30_000]})
    recorder.done()
    built = build(tmp_path / "lab", "cycle", "c0001")
    assert page.validate_pdf(str(built.pdf), profile=page.ValidationProfile.PDF_UA_1).is_compliant
    text = text_of(built.pdf)
    for expected in ("<script>alert(1)</script>", "{{ 7*7 }}", "[U+202E]txt", "[U+4E2D][U+6587]", "[U+0000]"):
        assert expected.replace(" ", "") in text.replace(" ", "")
    assert "demonstration" not in text.lower()
    with pikepdf.open(built.pdf) as pdf:
        assert len(pdf.pages) <= 4
    html = built.files["html"].read_text()
    assert "<script" not in html
    assert len(html) < 2_000_000
    assert not re.search(r'(src|href)\s*=\s*"?(http|file|/)', html)


def test_long_tables_are_attached_whole(workspace: Path, tmp_path: Path, repository: Path) -> None:
    root = copied(workspace, tmp_path)
    fields = own(root, repository, "loop") / "fields.yaml"
    assert "log.heads" in fields.read_text()
    from loopwright.report import render

    old, render.ROWS = render.ROWS, 1
    try:
        built = build(root, "loop", formats=("pdf", "json"))
    finally:
        render.ROWS = old
    assert old == ROWS
    heads = next(claim for claim in built.document.claims if claim.id == "LR-heads").facts[0].value
    with pikepdf.open(built.pdf) as pdf:
        table = pdf.attachments["LR-heads-log.heads.csv"].get_file().read_bytes().decode()
    assert len(table.splitlines()) == 1 + len(heads["rows"]) > 3


def test_a_lab_may_change_a_document_and_it_shows(workspace: Path, tmp_path: Path, repository: Path) -> None:
    root = copied(workspace, tmp_path)
    before = build(root, "cycle", "c0003", formats=("json",)).document.provenance.sources
    folder = own(root, repository)
    assert build(root, "cycle", "c0003", formats=("json",)).document.provenance.sources == before
    (folder / "style.css").write_text("h1 { color: #000 }\n")
    assert build(root, "cycle", "c0003", formats=("json",)).document.provenance.sources != before
    assert {"cycle", "loop", "profile"} <= set(documents(root))


def test_a_third_language_needs_label_files_alone(workspace: Path, tmp_path: Path, repository: Path) -> None:
    root = copied(workspace, tmp_path)
    folder = own(root, repository)
    theme = own(root, repository, "theme")
    for place in (folder, theme):
        (place / "labels.fr.yaml").write_text((place / "labels.en.yaml").read_text().replace("en_GB", "fr_FR"))
    with (theme / "labels.fr.yaml").open("a") as words:
        words.write('law:\n  "No law; Loopwright\'s own document": Aucune loi\n  No date is set: Aucune date\n')
    built = build(root, "cycle", "c0003", language="fr")
    assert built.document.law.title == "Aucune loi"
    assert page.validate_pdf(str(built.pdf), profile=page.ValidationProfile.PDF_UA_1).is_compliant
    assert "(0,213 to 0,313; n 290" in built.files["html"].read_text()


def test_words_for_a_text_that_the_law_does_not_have_are_named(workspace: Path, tmp_path: Path, repository: Path) -> None:
    root = copied(workspace, tmp_path)
    with (own(root, repository, "theme") / "labels.de.yaml").open("a") as words:
        words.write("law:\n  No date is sett: Keine\n")
    with pytest.raises(UsageError, match=r"theme/labels.de.yaml:\d+: law: .*'No date is sett' \(did you mean No date is set"):
        build(root, "cycle", "c0003", language="de", formats=("json",))


@pytest.mark.parametrize(
    ("harm", "said"), [("missing", "inter-latin-400-normal.woff2 is not part"), ("damaged", "cannot be loaded")]
)
def test_a_font_that_is_not_there_as_it_was_is_one_error(
    workspace: Path, tmp_path: Path, repository: Path, harm: str, said: str
) -> None:
    root = copied(workspace, tmp_path)
    font = own(root, repository, "theme") / "fonts/inter-latin-400-normal.woff2"
    font.unlink() if harm == "missing" else font.write_bytes(b"wOF2" + bytes(2000))
    with pytest.raises(UsageError, match=said):
        build(root, "cycle", "c0003", formats=("pdf",))


def test_nothing_outside_the_sources_can_be_reached(workspace: Path, tmp_path: Path, repository: Path) -> None:
    root = copied(workspace, tmp_path)
    template = own(root, repository) / "template.html.j2"
    source = template.read_text()
    for url in ("https://example.org/x.png", f"file://{template}", "/etc/hostname", "../../loop.yaml"):
        template.write_text(source.replace("<body>", f'<body><img alt="x" src="{url}">'))
        with pytest.raises(UsageError, match="not part of the report's sources|Error fetching"):
            build(root, "cycle", "c0003", formats=("pdf",))


def test_a_damaged_record_is_not_reported_on(workspace: Path, tmp_path: Path) -> None:
    root = copied(workspace, tmp_path)
    [bundle] = (root / "ledger/tile/entries").rglob("39")
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(IntegrityError, match="not in order") as caught:
        build(root, "cycle", "c0003")
    assert caught.value.next_step == "loopwright verify"
    assert not (root / "build").exists()


def test_refusals_say_what_to_do(workspace: Path, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked, wrong, hint in (
        ({"cycle": "c0009"}, "no cycle 'c0009'", "c0003"),
        ({"document": "cicle"}, "did you mean cycle", "loop"),
        ({"language": "fr"}, "no words in 'fr'", "labels.fr.yaml"),
        ({"audience": "public"}, "not for 'public'", "internal"),
    ):
        with pytest.raises(UsageError, match=wrong) as caught:
            build(workspace, **{"document": "cycle", "output": tmp_path, **asked})  # type: ignore[arg-type]
        assert hint in caught.value.next_step
    with pytest.raises(WorkspaceError, match="no ledger"):
        build(tmp_path, "cycle", "c0003")
    shutil.copytree(workspace / "ledger", tmp_path / "lab/ledger")
    font = own(tmp_path / "lab", repository, "theme") / "fonts/inter-latin-400-normal.woff2"
    font.unlink()
    with pytest.raises(UsageError, match=r"inter-latin-400-normal\.woff2"):
        build(tmp_path / "lab", "cycle", "c0003", formats=("pdf",))
    shutil.rmtree(tmp_path / "lab")
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(InfraError) as missing:
        build(workspace, "cycle", "c0003", tmp_path)
    assert "libpango" in missing.value.next_step
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "fields.yaml",
            "source: auto,",
            "source: automatic,",
            r"reports/cycle/fields\.yaml:12:sections\.0\.fields\.0\.source: saw \"automatic\"",
        ),
        ("fields.yaml", "id: CY-reasons", "id: CY-decision", "field given twice: CY-decision"),
        (
            "fields.yaml",
            "cycle.decision",
            "cycle.decisions",
            r"fields\.yaml:12: the catalogue has no fact cycle\.decisions .*did you mean cycle\.decision",
        ),
        ("fields.yaml", "due: any-time", "due: anytime", r"fields\.yaml:8: due anytime .*did you mean any-time"),
        ("fields.yaml", "act: own", "act: ai-akt", r"fields\.yaml:4: law\.act ai-akt"),
        ("fields.yaml", "document: cycle", "document: loop", r"fields\.yaml:3: document must be the folder's name"),
        ("labels.en.yaml", "  CY-gain:", "  CY-gains:", r"labels\.en\.yaml: fields: no words for CY-gain"),
        ("labels.en.yaml", "Cycle dossier", "Cycle \u4e2d", r"labels\.en\.yaml:1: the bundled fonts cannot draw \[U\+4E2D\]"),
        ("labels.en.yaml", "title:", "titel:", r"labels\.en\.yaml:1:titel: unknown key.*did you mean title"),
        ("template.html.j2", "{% endmacro %}", "{% endmakro %}", r"reports/cycle/template\.html\.j2:8: "),
        ("template.html.j2", "doc.limits", "doc.limit", r"reports/cycle/template\.html\.j2:\d+: .*limit"),
    ],
)
def test_a_wrong_file_is_named_with_line_and_key(
    workspace: Path, tmp_path: Path, repository: Path, file: str, old: str, new: str, said: str
) -> None:
    (tmp_path / "lab").mkdir()
    shutil.copytree(workspace / "ledger", tmp_path / "lab/ledger")
    path = own(tmp_path / "lab", repository) / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UsageError, match=said) as caught:
        build(tmp_path / "lab", "cycle", "c0003", formats=("html",))
    assert caught.value.next_step
