"""Every document is archival (PDF/A-3a) and accessible (PDF/UA-1), before it is signed and after, and tells no audience another's fields.

In CI each document is built once, so that every audience is met in every language; the slow test builds all there are, of a workspace in
which every field that somebody may not see is answered with a word of its own.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import page
import pikepdf
import psutil
import pytest

from loopwright.govern.answers import Given, answer_all
from loopwright.govern.requests import Desk
from loopwright.report import documents
from loopwright.report.batch import Job, Made, build_many, jobs_for
from loopwright.report.claims import projected
from loopwright.report.loading import load
from loopwright.report.signing import sign_pdf, signer_of
from loopwright.types import digest_bytes
from loopwright.workspace import Workspace
from tests.run.small import copy_of

PROFILES = (page.ValidationProfile.PDF_A_3A, page.ValidationProfile.PDF_UA_1)
CPU_A_PAGE, MEMORY = 0.45, 800 * 1024 * 1024
"""Seconds; bytes."""


def once_each(jobs: Iterable[Job]) -> list[Job]:
    """One job a document: of its audiences and languages the pair that was met least often so far."""
    chosen, used, by_document = list[Job](), Counter[tuple[str, ...]](), dict[str, list[Job]]()
    for job in jobs:
        by_document.setdefault(job.document, []).append(job)
    for choices in sorted(by_document.values(), key=len, reverse=True):
        best = min(
            choices, key=lambda job: [used[pair] for pair in ((job.language, job.audience), (job.audience,), (job.language,))]
        )
        used.update([(best.language, best.audience), (best.audience,), (best.language,)])
        chosen.append(best)
    return chosen


def flaws(pdf: Path) -> list[str]:
    """What a validator finds, by both profiles."""
    found = []
    for profile in PROFILES:
        report = page.validate_pdf(str(pdf), profile=profile)
        found += [f"{pdf.name}: {profile}: {one.rule_id} {one.message}" for one in report.failures]
        assert report.is_compliant or report.failures
    return found


def signed(pdf: Path, seal: Any) -> Path:
    path = pdf.with_name(f"{pdf.stem}-signed.pdf")
    path.write_bytes(sign_pdf(pdf.read_bytes(), seal, "Issued by the provider"))
    return path


def mark(field: str) -> str:
    """A word that a person says to this field and nobody anywhere else."""
    return "q" + digest_bytes(field.encode())[7:23]


@pytest.fixture(scope="module")
def confidential(answered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every field that one of its document's audiences may not see is answered with its mark."""
    root = tmp_path_factory.mktemp("confidential") / "lab"
    copy_of(answered, root)
    given = [
        Given(field=field.id, document=name, state="statement", text=f"Confidential: {mark(field.id)}.")
        for name in documents(root)
        for field in load(root, name).declaration.fields
        if field.source != "auto"
        and set(field.audience or load(root, name).declaration.audiences) != set(load(root, name).declaration.audiences)
    ]
    assert len(given) > 40
    with Desk(Workspace(root=root), lambda _: b"") as desk:
        answer_all(desk, given)
    return root


def everything(pdf: Path) -> str:
    """Pages as text, and all that is in the file: metadata, outlines, texts for a screen reader, what is attached."""
    text = subprocess.run(["pdftotext", pdf, "-"], check=True, capture_output=True, text=True).stdout
    with pikepdf.open(pdf) as opened:
        streams = [item.read_bytes() for item in opened.objects if isinstance(item, pikepdf.Stream) and "/Subtype" not in item]
        strings = [
            str(item)
            for one in opened.objects
            if isinstance(one, pikepdf.Dictionary)
            for item in one.values()
            if isinstance(item, pikepdf.String)
        ]
        attached = [one.get_file().read_bytes() for one in opened.attachments.values()]
        names = list(opened.attachments)
    return "\n".join([text, *strings, *names, *(data.decode("utf-8", "replace") for data in (*streams, *attached))])


def leaks(root: Path, made: Made) -> list[str]:
    """Of the document's fields that this audience may not see: id, words, and the facts that they alone show."""
    loaded, pdf = load(root, made.job.document), Path(made.files["pdf"])
    seen = {field.id: field for field in projected(loaded.declaration, made.job.audience).fields}
    hidden = [field for field in loaded.declaration.fields if field.id not in seen]
    told, data = everything(pdf), json.loads(Path(made.files["json"]).read_bytes())
    shown = {fact["path"] for section in data["sections"] for claim in section["claims"] for fact in claim["facts"]}
    allowed = {path for field in seen.values() for path in field.shown.query}
    words = loaded.labels(made.job.language).fields
    found = [
        field.id
        for field in hidden
        if mark(field.id) in told or f'"{field.id}"' in told or words[field.id].label in told.split("\n")
    ]
    blind = [one for one in seen if one not in told]  # the check can see what is there
    return [f"{pdf.name}: {one}" for one in (*found, *sorted(shown - allowed), *blind)]


def test_each_document_once(confidential: Path, tmp_path: Path) -> None:
    every, left = jobs_for(confidential, (), None, (), ())
    jobs = once_each(every)
    assert left == []
    assert {(job.language, job.audience) for job in jobs} == {(job.language, job.audience) for job in every}
    made = build_many(confidential, jobs, tmp_path, ("pdf", "json"), lambda _: None)
    assert [flaw for one in made for flaw in (*flaws(Path(one.files["pdf"])), *leaks(confidential, one))] == []
    for one in made:
        told = json.loads(Path(one.files["json"]).read_bytes())
        assert (told["document"], told["language"], told["audience"]) == (one.job.document, one.job.language, one.job.audience)
        with pikepdf.open(one.files["pdf"]) as pdf:
            assert str(pdf.Root.Lang) == one.job.language
            faces = {
                str(item["/BaseFont"]).partition("+")[2]
                for item in pdf.objects
                if isinstance(item, pikepdf.Dictionary) and "/BaseFont" in item
            }
            assert faces <= {"Inter", "Inter-Semi-Bold", "Plex", "Europe", "Europe-Semi-Bold"}  # none of the machine's
            assert pdf.attachments["document.json"].get_file().read_bytes() == Path(one.files["json"]).read_bytes()


def peak(process: psutil.Process) -> int:
    """The most bytes of memory that a process of Python's pool has held; 0 where it is gone."""
    with contextlib.suppress(OSError, psutil.Error):
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return 0


@pytest.mark.slow
def test_every_document_in_every_language_for_every_audience(
    confidential: Path, tmp_path: Path, certificate: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    jobs, left = jobs_for(confidential, (), None, (), ())
    seal = signer_of(*certificate, lambda _: b"")
    assert left == []
    pages, found, peaks = Counter[str](), list[str](), [0]

    def told(made: Made) -> None:
        pdf = Path(made.files["pdf"])
        peaks.append(max(map(peak, psutil.Process().children(recursive=True)), default=0))
        found.extend(flaws(pdf) + flaws(signed(pdf, seal)) + leaks(confidential, made))
        with pikepdf.open(pdf) as opened:
            pages[pdf.name] = len(opened.pages)

    began, own = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    made = build_many(confidential, jobs, tmp_path, ("pdf", "json"), told)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    total, (longest, most) = sum(pages.values()), pages.most_common(1)[0]
    with capsys.disabled():
        figures = f"{seconds:.0f} CPU-s ({seconds / total:.2f} a page), {time.monotonic() - own:.0f} s with validation"
        print(f"\n{len(made)} documents, {total} pages, {figures}; longest {longest} with {most}; {max(peaks) / 2**20:.0f} MB")
    assert found == []
    assert seconds / total <= CPU_A_PAGE
    assert 0 < max(peaks) <= MEMORY
