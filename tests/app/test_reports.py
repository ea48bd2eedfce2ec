"""The page of the reports: what it says of a document, the command that it spells out, and work that outlives the page."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app import jobs
from app.views.reports import UNBUILT, Asked, Built, Choice, _choice, answer_command, build_verbs, documents_table, file_command
from app.words import Words
from loopwright.report.document import Claim, Due

ROWS = [
    {
        "document": "annex-iv", "title": "Technical documentation", "law": "AI Act", "verified": False, "scope": "cycle",
        "audiences": ["national-authority", "internal"], "languages": ["en", "de"], "fields": 49, "due": "Before",
    },
    {
        "document": "incident", "title": "Incident", "law": "AI Act", "verified": True, "scope": "incident", "audiences": ["ai-office"],
        "languages": ["en"], "fields": 9, "due": "15 days",
    },
]  # fmt: skip


def chosen(scope: str = "cycle", about: str = "c0003") -> Choice:
    return Choice(document="annex-iv", audience="internal", language="en", about=about, row={"scope": scope})


def claim(source: str = "human") -> Claim:
    return Claim(
        id="AIV-1a-purpose", ref="1(a)", label="Purpose", help="", source=source, state="not provided", facts=(), statement=None,
        reason="", owner="legal", due=Due(rule="market", label="Before", date=None),
    )  # fmt: skip


def test_what_is_typed_is_one_word_of_the_command_whatever_it_is() -> None:
    text = 'it\'s $(rm -rf ~) `x`\n--confirm; "q"'
    command = answer_command(claim(), chosen(), "text", text, ["a b.pdf", "-x.pdf"], this_alone=True)
    assert shlex.split(command) == [
        "loopwright", "answer", "AIV-1a-purpose", "--document", "annex-iv", "--about", "c0003", "--text", text,
        "--file", "a b.pdf", "--file", "-x.pdf",
    ]  # fmt: skip
    assert "--about" not in answer_command(claim(), chosen(), "confirm", ""), "it stands for the whole loop"
    assert answer_command(claim(), chosen("incident", "inc-1"), "withdraw", "").endswith("--about inc-1 --withdraw")


def test_an_address_that_says_what_is_not_there_leads_to_what_is() -> None:
    asked = Asked(document="annex-iv", audience="public", language="fr")
    found = _choice(ROWS, asked, "de", "c0004", [])
    assert found is not None
    assert (found.audience, found.language, found.about) == ("internal", "de", "c0004")
    assert found.stem == "annex-iv-c0004-internal-de"
    assert _choice(ROWS, Asked(document="../secret"), "en", "c0004", []) is None
    build, check = build_verbs(Path("/w"), found, "pdf,json")
    assert build[:5] == ["report", "build", "annex-iv", "--about", "c0004"]
    assert check[2] == "/w/build/reports/annex-iv-c0004-internal-de.pdf"


def test_the_worst_audience_counts_and_none_is_called_complete_that_was_not_drawn() -> None:
    standing = [
        {"document": "annex-iv", "audience": "internal", "complete": False, "answered": 11, "of": 49},
        {"document": "annex-iv", "audience": "national-authority", "complete": True, "answered": 9, "of": 9},
        {"document": "incident", "audience": "ai-office", "complete": None, "answered": 0, "of": 0},
    ]
    table = documents_table(Words("reports", "en"), ROWS, standing, jobs.Job(started_at="2026-11-26T01:00:00Z"))
    assert [(row["status"], row["open"]) for row in table.rows] == [("incomplete", 38), ("nothing to report on yet", None)]


def test_each_step_of_the_register_follows_the_one_before(tmp_path: Path) -> None:
    built = Built(files={"pdf": tmp_path / "build/reports/x.pdf"}, digest="sha256:1")
    states = [
        file_command(built, tmp_path, [{"file": "sha256:1", "state": state}] if state else None)
        for state in ("", "reviewed", "approved", "submitted")
    ]
    assert [state.split("--state ")[-1] for state in states] == ["reviewed", "approved", "submitted --recipient ...", ""]
    assert file_command(UNBUILT, tmp_path, None) == ""


def until_it_ends(root: Path, name: str) -> jobs.Job:
    for _ in range(600):
        job = jobs.look(root, name)
        if job.state != "running":
            return job
        time.sleep(0.1)
    pytest.fail("it never ended")


def test_a_job_says_how_it_went_runs_once_and_a_killed_one_is_not_called_done(tmp_path: Path) -> None:
    assert jobs.look(tmp_path, "x").state == "none"
    verbs = [["report", "verify", str(tmp_path / "none.pdf"), "--json"], ["doctor", "--json"]]
    assert jobs.start(tmp_path, "x", verbs, {"stem": "s"})
    assert not jobs.start(tmp_path, "x", verbs), "while one runs, another is refused"
    assert jobs.look(tmp_path, "x").state == "running"
    job = until_it_ends(tmp_path, "x")
    assert (job.state, job.done, job.of) == ("failed", 1, 2), "the second was tried all the same"
    assert "none.pdf cannot be read" in job.said
    (tmp_path / jobs.FOLDER / "x" / "ended.json").unlink()
    assert jobs.look(tmp_path, "x").state == "failed", "nobody holds its lock, and it never said that it ended"


@pytest.mark.slow
def test_a_file_is_built_checked_shown_and_a_changed_one_is_told(
    loops: Callable[[str], Path], opened, text, tmp_path: Path
) -> None:
    root = shutil.copytree(loops("rest"), tmp_path / "lab")
    (root / "loop.yaml").write_text("name: lab\n")
    page = opened(root, "reports", document="cycle", tab="files")
    assert "Not built yet." in text(page)
    page.button(key="build").click().run()
    assert until_it_ends(root, "report").state == "done"
    page.run()
    assert "Check of the PDF Passed" in text(page)
    assert "--state reviewed" in text(page)
    assert not page.exception
    pdf = root / "build/reports/cycle-c0003-internal-en.pdf"
    pdf.write_bytes(pdf.read_bytes() + b"%")
    page.run()
    assert "Check of the PDF Not yet" in text(page), "the check was of other bytes"
