"""The cycle dossier: one accessible, archival page that is a pure function of the signed record, and says what is missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import page
import pikepdf
import pytest

from loopwright.errors import InfraError, IntegrityError, UsageError, WorkspaceError
from loopwright.report import build, documents
from loopwright.report.pdf import _unambiguous
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


@pytest.mark.parametrize("cycle", ["c0000", "c0002", "c0003", "c0004"])
def test_it_is_archival_accessible_and_two_pages_at_most(workspace: Path, cycle: str, caplog: pytest.LogCaptureFixture) -> None:
    built = build(workspace, "cycle", cycle)
    assert [record.getMessage() for record in caplog.records] == []
    for profile in (page.ValidationProfile.PDF_A_3A, page.ValidationProfile.PDF_UA_1):
        report = page.validate_pdf(str(built.pdf), profile=profile)
        assert [(failure.rule_id, failure.message) for failure in report.failures] == []
        assert report.is_compliant
    with pikepdf.open(built.pdf) as pdf:
        assert len(pdf.pages) in {1, 2}
        assert str(pdf.Root.Lang) == "en"
        with pdf.open_outline() as outline:
            assert [item.title for item in outline.root] == [f"Cycle {cycle} of loop lab"]
            assert outline.root[0].children[0].title == "Decision"
        fonts = {str(item.BaseFont).partition("+")[2] for item in pdf.objects if _is_font(item)}
        assert fonts <= {"Inter", "Inter-Semi-Bold", "Plex"}
        [attached] = pdf.attachments.values()
        assert attached.get_file().read_bytes() == built.json.read_bytes()
    assert (built.pdf_digest, built.json_digest) == (
        digest_bytes(built.pdf.read_bytes()),
        digest_bytes(built.json.read_bytes()),
    )


def test_no_stream_ends_where_its_end_cannot_be_told() -> None:
    """A stream that ends in a carriage return is written anew with other offsets; what never comes right is said."""
    files = {0: b"stream\nx\r\nendstream", 1: b"stream\ny\r\nendstream", 2: b"stream\nz\nendstream"}
    assert _unambiguous(lambda pad: files[pad]) == files[2]
    with pytest.raises(InfraError, match="unambiguous"):
        _unambiguous(lambda pad: files[0])


def _is_font(item: pikepdf.Object) -> bool:
    return isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/Font" and "/BaseFont" in item


def test_two_processes_write_the_same_bytes(workspace: Path, tmp_path: Path, repository: Path) -> None:
    code = "import sys; from pathlib import Path; from loopwright.report import build\n"
    code += "built = build(Path(sys.argv[1]), 'cycle', 'c0003', Path(sys.argv[2])); print(built.pdf_digest, built.json_digest)"
    said = set()
    for number, (place, zone) in enumerate([(repository, "UTC"), (tmp_path, "Pacific/Auckland")]):
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "TZ": zone, "LC_ALL": "C"}
        command = [sys.executable, "-c", code, str(workspace), str(tmp_path / str(number))]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=place, env=environment)
        said.add(done.stdout)
    assert len(said) == 1
    assert (tmp_path / "0/cycle-c0003.pdf").read_bytes() == (tmp_path / "1/cycle-c0003.pdf").read_bytes()


def test_a_finished_cycle_leaves_no_field_unsaid(workspace: Path, text_of: Callable[[Path], str]) -> None:
    built = build(workspace, "cycle", "c0003")
    said = json.loads(built.json.read_bytes())
    claims = [claim for section in said["sections"] for claim in section["claims"]]
    assert {claim["state"] for claim in claims} == {"provided"}
    assert all(claim["leaf"] is not None for claim in claims)
    text = text_of(built.pdf)
    for expected in (
        "Rejected", "0.260", "0.213 to 0.313", "n 290", "wilson 95%", "\u22120.010", "0.6713", "4\u00a0800", "failed hidden 41",
        "demonstration key, not a person", "7003", "21.8 s", "39 entries", "weasyprint 70", said["provenance"]["sources"][7:15],
    ):  # fmt: skip
        assert expected.replace("\u00a0", " ") in text, expected
    for row in said["evidence"]:
        assert " ".join(row["digest"][7:][at : at + 8] for at in range(0, 64, 8)) in text
    assert "NOT PROVIDED" not in text
    assert "None" not in text


def test_what_is_not_recorded_says_so(workspace: Path, text_of: Callable[[Path], str]) -> None:
    opened = text_of(build(workspace, "cycle", "c0004").pdf)
    assert "No decision yet" in opened
    assert "Not finished" in opened
    assert opened.count("NOT PROVIDED") >= 12
    first = text_of(build(workspace, "cycle", "c0000").pdf)
    assert "NOT APPLICABLE: it is the first model" in first
    assert "NOT PROVIDED" not in first


def test_written_text_stays_text(tmp_path: Path, text_of: Callable[[Path], str]) -> None:
    recorder = Recorder(tmp_path / "lab", demo=False)
    recorder.turn(0)
    recorder.open(1)
    hostile = "<script>alert(1)</script><img src='file:///etc/passwd'> {{ 7*7 }} \u202etxt \u4e2d\u6587 \u0000"
    recorder.phase("generate", 1)
    recorder.phase("decide", 1, {**summary("decide", 1), "reasons": [hostile]})
    recorder.done()
    built = build(tmp_path / "lab", "cycle", "c0001")
    assert page.validate_pdf(str(built.pdf), profile=page.ValidationProfile.PDF_UA_1).is_compliant
    text = text_of(built.pdf)
    for expected in ("<script>alert(1)</script>", "{{ 7*7 }}", "[U+202E]txt", "[U+4E2D][U+6587]", "[U+0000]"):
        assert expected.replace(" ", "") in text.replace(" ", "")
    assert "demonstration" not in text.lower()


def test_failed_attempts_are_told(tmp_path: Path, text_of: Callable[[Path], str]) -> None:
    built = build(record_loop(tmp_path / "lab", 1, failed=True), "cycle", "c0001")
    assert "Failed attempts: 1" in text_of(built.pdf)


def test_a_longer_record_gives_another_document(workspace: Path, tmp_path: Path) -> None:
    root = copied(workspace, tmp_path)
    before = build(root, "cycle", "c0003")
    shorter = build(record_loop(tmp_path / "other", 4), "cycle", "c0003")
    assert shorter.checkpoint != before.checkpoint
    assert shorter.pdf_digest != before.pdf_digest


def test_a_lab_may_change_a_document_and_it_shows(workspace: Path, tmp_path: Path, repository: Path) -> None:
    root = copied(workspace, tmp_path)
    before = build(root, "cycle", "c0003")
    shutil.copytree(repository / "reports/cycle", root / "reports/cycle")
    assert build(root, "cycle", "c0003").sources == before.sources
    style = root / "reports/cycle/style.css"
    style.write_text(style.read_text() + "\nh1 { color: #000 }\n")
    after = build(root, "cycle", "c0003")
    assert after.sources != before.sources
    assert after.pdf_digest != before.pdf_digest
    assert "cycle" in documents(root)


def test_nothing_outside_the_sources_can_be_reached(workspace: Path, tmp_path: Path, repository: Path) -> None:
    root = copied(workspace, tmp_path)
    shutil.copytree(repository / "reports/cycle", root / "reports/cycle")
    template = root / "reports/cycle/template.html.j2"
    page_source = template.read_text()
    for url in ("https://example.org/x.png", f"file://{template}", "/etc/hostname", "../../loop.yaml"):
        template.write_text(page_source.replace("<body>", f'<body><img alt="x" src="{url}">'))
        with pytest.raises(UsageError, match="not part of the report's sources|Error fetching"):
            build(root, "cycle", "c0003")


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


def test_refusals_say_what_to_do(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no cycle 'c0009'") as caught:
        build(workspace, "cycle", "c0009")
    assert "c0003" in caught.value.next_step
    with pytest.raises(UsageError, match="no document 'annex'") as caught:
        build(workspace, "annex", "c0003")
    assert "cycle" in caught.value.next_step
    with pytest.raises(WorkspaceError, match="no ledger"):
        build(tmp_path, "cycle", "c0003")
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(InfraError) as missing:
        build(workspace, "cycle", "c0003", tmp_path)
    assert "libpango" in missing.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_declaration_is_refused(workspace: Path, tmp_path: Path, repository: Path) -> None:
    root = copied(workspace, tmp_path)
    shutil.copytree(repository / "reports/cycle", root / "reports/cycle")
    fields = root / "reports/cycle/fields.yaml"
    fields.write_text(fields.read_text().replace("show: count,", "show: counted,", 1))
    with pytest.raises(UsageError, match=r"reports/cycle/fields\.yaml is not a declaration"):
        build(root, "cycle", "c0003")
