"""Every document is archival (PDF/A-3a) and accessible (PDF/UA-1), before it is signed and after.

In CI each document is built once, so that every audience is met in every language; the slow test builds all there are.
"""

from __future__ import annotations

import json
import resource
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import page
import pikepdf
import pytest

from loopwright.report.batch import Job, Made, build_many, jobs_for
from loopwright.report.signing import sign_pdf, signer_of

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


def test_each_document_once(answered: Path, tmp_path: Path) -> None:
    every, left = jobs_for(answered, (), None, (), ())
    jobs = once_each(every)
    assert left == []
    assert {(job.language, job.audience) for job in jobs} == {(job.language, job.audience) for job in every}
    made = build_many(answered, jobs, tmp_path, ("pdf", "json"), lambda _: None)
    assert [flaw for one in made for flaw in flaws(Path(one.files["pdf"]))] == []
    for one in made:
        told = json.loads(Path(one.files["json"]).read_bytes())
        assert (told["document"], told["language"], told["audience"]) == (one.job.document, one.job.language, one.job.audience)
        with pikepdf.open(one.files["pdf"]) as pdf:
            assert str(pdf.Root.Lang) == one.job.language
            assert pdf.attachments["document.json"].get_file().read_bytes() == Path(one.files["json"]).read_bytes()


@pytest.mark.slow
def test_every_document_in_every_language_for_every_audience(
    answered: Path, tmp_path: Path, certificate: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    jobs, left = jobs_for(answered, (), None, (), ())
    seal = signer_of(*certificate, lambda _: b"")
    assert left == []
    pages, found = Counter[str](), list[str]()

    def told(made: Made) -> None:
        pdf = Path(made.files["pdf"])
        found.extend(flaws(pdf) + flaws(signed(pdf, seal)))
        with pikepdf.open(pdf) as opened:
            pages[pdf.name] = len(opened.pages)

    began, own = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    made = build_many(answered, jobs, tmp_path, ("pdf", "json"), told)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    total, (longest, most) = sum(pages.values()), pages.most_common(1)[0]
    with capsys.disabled():
        figures = f"{seconds:.0f} CPU-s ({seconds / total:.2f} a page), {time.monotonic() - own:.0f} s with validation"
        print(
            f"\n{len(made)} documents, {total} pages, {figures}; longest {longest} with {most}; {ended.ru_maxrss / 1024:.0f} MB"
        )
    assert found == []
    assert seconds / total <= CPU_A_PAGE
    assert ended.ru_maxrss * 1024 <= MEMORY
