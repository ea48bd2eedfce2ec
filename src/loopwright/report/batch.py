"""Many documents at once, two processes beside this one: each audits the record once and builds what it is given."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from loopwright.errors import LoopwrightError, UsageError
from loopwright.report.declaration import AUDIENCES
from loopwright.report.engine import build_from
from loopwright.report.loading import Loaded, load
from loopwright.report.record import Record, open_record
from loopwright.report.sources import documents

__all__ = ["PROCESSES", "Job", "Made", "build_many", "jobs_for"]

PROCESSES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One document for one audience in one language."""

    document: str
    about: str | None
    language: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A job that is done."""

    job: Job
    files: dict[str, str]
    digests: dict[str, str]
    complete: bool
    answered: int
    of: int
    checkpoint: int


def jobs_for(
    root: Path, names: Collection[str], about: str | None, languages: Collection[str], audiences: Collection[str]
) -> tuple[list[Job], list[str]]:
    """Every document in every language and for every audience, or in and for those that are named; and what is left out, with why.

    UsageError where nothing of it can be built.
    """
    record, jobs, left = open_record(root), list[Job](), list[str]()
    for one in sorted(set(audiences) - set(AUDIENCES)):
        raise UsageError(f"there is no audience {one!r}", f"one of: {', '.join(AUDIENCES)}")
    for name in names or documents(root):
        loaded = load(root, name)
        try:
            jobs += _jobs(record, loaded, about, languages, audiences)
        except UsageError as error:
            if names:
                raise
            left.append(error.message if error.message.startswith(name) else f"{name}: {error.message}")
    if not jobs:
        more = f", and {len(left) - 1} other documents likewise" if len(left) > 1 else ""
        raise UsageError(f"nothing to build: {left[0]}{more}", "`loopwright report list`")
    return jobs, left


def _jobs(
    record: Record, loaded: Loaded, about: str | None, languages: Collection[str], audiences: Collection[str]
) -> list[Job]:
    """Of one document; UsageError where there are none."""
    told, there = loaded.declaration, loaded.sources.languages
    asked = about if (about or "").startswith("inc-") == (told.scope == "incident") else None
    record.about(told.scope, asked, told.incident)
    tongues = [one for one in there if not languages or one in languages]
    readers = [one for one in told.audiences if not audiences or one in audiences]
    if not tongues:
        where = " and ".join(f"reports/{folder}/labels.{next(iter(languages))}.yaml" for folder in (loaded.name, "theme"))
        raise UsageError(f"{loaded.name} has no words in {', '.join(languages)}", f"one of: {', '.join(there)}; or add {where}")
    if not readers:
        raise UsageError(f"{loaded.name} is not for {', '.join(audiences)}", f"one of: {', '.join(told.audiences)}")
    return [
        Job(document=loaded.name, about=asked, language=tongue, audience=reader) for tongue in tongues for reader in readers
    ]


def build_many(
    root: Path,
    jobs: Sequence[Job],
    output: Path | None,
    formats: Collection[str],
    told: Callable[[Made], None],
) -> list[Made]:
    """Build them all, telling each as it is done; in the order of the jobs.

    Raises:
        LoopwrightError: the first that could not be built, after the others were.
    """
    made: dict[Job, Made] = {}
    failed: list[LoopwrightError] = []
    with ProcessPoolExecutor(
        PROCESSES, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(root,)
    ) as pool:
        waiting = {pool.submit(_build, job, output, tuple(formats)): job for job in jobs}
        for done in as_completed(waiting):
            try:
                made[waiting[done]] = done.result()
            except LoopwrightError as error:
                failed.append(error)
                continue
            told(made[waiting[done]])
    if failed:
        raise failed[0]
    return [made[job] for job in jobs]


class _Here:
    """What a worker process keeps between jobs."""

    record: Record


def _begin(root: Path) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Here.record = open_record(root)


def _end_with_parent() -> None:
    """Who killed the command wants no more documents; a pool's processes would wait for its next job for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _build(job: Job, output: Path | None, formats: tuple[str, ...]) -> Made:
    record = _Here.record
    loaded = load(record.root, job.document)
    built = build_from(record, loaded, job.about, output, language=job.language, audience=job.audience, formats=formats)
    status = built.document.status
    return Made(
        job=job,
        files={kind: str(path) for kind, path in built.files.items()},
        digests=dict(built.digests),
        complete=status.complete,
        answered=status.answered,
        of=status.of,
        checkpoint=built.document.provenance.checkpoint.size,
    )
