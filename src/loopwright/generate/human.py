"""The seed phase: the frozen suites, what they hold out, and the human data that the first model learns from.

Human data is judged like anybody's: a row of a source that does not state a task of the domain, asks for what the suites
hold, or fails a check is refused, with the reason, and the others go on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from loopwright.domains.accepting import purposes_of
from loopwright.domains.contamination import FILE, NGRAMS, contaminated, rows_of
from loopwright.errors import InfraError, PhaseError
from loopwright.generate.frozen import freeze
from loopwright.plan import Exclude, Source
from loopwright.plugins import PhaseContext, plugin_identity
from loopwright.sections import SeedSection
from loopwright.store.archive import Link, Shard, write_link
from loopwright.store.artifacts import seal
from loopwright.store.suites import write_suite
from loopwright.store.tables import REFUSED, ROWS, SIGNATURES, content_id, write_table
from loopwright.types import Task, canonical, digest_bytes, digest_value, seed_of

__all__ = ["seed"]

_SUITES = ("gate", "sealed")


def seed(config: SeedSection, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
    """Write ``suites``, ``heldout``, ``accepted`` (human rows) and ``archive`` (the chain's first link); return the summary.

    Raises:
        PlanError: a task has no hidden check, and the plan does not say that this is meant.
        PhaseError: the suites share a behaviour, or there is no human row at all.
        InfraError: a row could not be judged.
    """
    held, grams = _suites(context)
    offered = [*_built_in(context, frozenset(held)), *_from_sources(config.sources, inputs, context)]
    rows = _judged(_screened(offered, held, grams, config.exclude), config, context)
    accepted = [row for row in rows if not row["reason"]]
    refused = [row for row in rows if row["reason"]]
    if not accepted:
        raise PhaseError("there is no human data to start from", "name some under `sources:` in loop.yaml")
    output = context.output / "accepted"
    write_table(output / "rows.parquet", ROWS, accepted)
    write_table(output / "refused.parquet", REFUSED, refused)
    (output / "curriculum.json").write_bytes(canonical({"levels": {}}))
    _link(context, len(accepted))
    return {
        "human_rows": len(accepted),
        **freeze(context, held, {row["prompt"] for row in accepted}),
        **{f"{suite}_tasks": sum(suite == name for name in held.values()) for suite in _SUITES},
        "refused": dict(sorted(Counter(row["reason"] for row in refused).items())),
    }


def _suites(context: PhaseContext) -> tuple[dict[str, str], dict[str, str]]:
    """Write the suites, and of them only digests where others can see: suite by signature, and by sequence of words."""
    suites, held = context.domain.suites(), dict[str, str]()
    for suite in _SUITES:
        write_suite(context.output / "suites", suite, suites[suite], context.sealer)
        for task in suites[suite]:
            if task.signature in held:
                raise PhaseError(
                    f"two suite tasks ask for the same: {task.prompt!r} ({suite}) and one of {held[task.signature]}",
                    "the domain must keep its suites disjoint; report it to its authors",
                )
            held[task.signature] = suite
    rows = [{"signature": signature, "suite": held[signature]} for signature in sorted(held)]
    write_table(context.output / "heldout" / "signatures.parquet", SIGNATURES, rows)
    grams = rows_of(suites)
    write_table(context.output / "heldout" / FILE, NGRAMS, grams)
    return held, {row["gram"]: row["suite"] for row in grams}


def _built_in(context: PhaseContext, refused: frozenset[str]) -> Iterator[dict[str, Any]]:
    licence = _licence(context.refs["domain"]["name"])
    for task, answer in context.domain.human(seed_of(context.seed, "human"), refused):
        yield _row(context, task.prompt, answer, licence) | {"stated": task}


def _from_sources(sources: Sequence[Source], inputs: Mapping[str, Path], context: PhaseContext) -> Iterator[dict[str, Any]]:
    for source in sources:
        path = inputs["sources"] / Path(source.path).relative_to("sources")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PhaseError(f"{source.path} cannot be read: {error}", "check `sources:` in loop.yaml and the file") from error
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield _parsed(line, f"{source.path}:{number}", source.licence, context)


def _parsed(line: str, where: str, licence: str, context: PhaseContext) -> dict[str, Any]:
    """A line of a source as a row; with a reason where it is not even a row or states no task."""
    try:
        found = json.loads(line)
        prompt, answer = found["prompt"], found["answer"]
        if not (isinstance(prompt, str) and isinstance(answer, str)):
            raise TypeError("prompt and answer must be text")
    except (ValueError, KeyError, TypeError) as error:
        said = f"{where}: {type(error).__name__}: {error}"
        return _row(context, line[:200], "", licence) | {"reason": "not a row", "detail": said}
    row = _row(context, prompt, answer, licence)
    try:
        return row | {"stated": context.domain.task(prompt)}
    except ValueError as error:
        return row | {"reason": "unknown task", "detail": f"{where}: {error}"}


def _row(context: PhaseContext, prompt: str, answer: str, licence: str) -> dict[str, Any]:
    return {
        "id": digest_value([context.cycle, prompt, answer])[7:23],
        "task": "",
        "prompt": prompt,
        "answer": answer,
        "level": 0,
        "origin": "human",
        "licence": licence,
        "signature": "",
        "cycle": context.cycle,
        "prompt_digest": digest_bytes(prompt.encode()),
        "verifier": plugin_identity("domains", context.refs["domain"]["name"]),
        "reason": "",
        "detail": "",
        "stated": None,
    }


def _screened(
    rows: Sequence[dict[str, Any]], held: Mapping[str, str], grams: Mapping[str, str], exclude: Exclude
) -> list[dict[str, Any]]:
    """Refuse what is held out, was recalled, or was given before; fill in what the task says."""
    seen: set[tuple[str, str]] = set()
    recalled = frozenset(exclude.rows)
    for row in rows:
        task: Task | None = row["stated"]
        if row["reason"] or task is None:
            continue
        row |= {"task": task.id, "level": task.level, "signature": task.signature}
        if task.signature in held:
            row |= {"reason": "held out", "detail": f"its behaviour is in the {held[task.signature]} suite"}
        elif suite := contaminated(row["prompt"], row["answer"], grams):
            row |= {"reason": "contaminated", "detail": f"it holds text of the {suite} suite"}
        elif row["licence"] in exclude.licences or (recalled and content_id(row["prompt"], row["answer"]) in recalled):
            row["reason"] = "recalled"
        elif (row["prompt"], row["answer"]) in seen:
            row["reason"] = "duplicate"
        seen.add((row["prompt"], row["answer"]))
    return list(rows)


def _judged(rows: Sequence[dict[str, Any]], config: SeedSection, context: PhaseContext) -> Sequence[dict[str, Any]]:
    """Run every answer that is left against the accepting checks."""
    asked = [row for row in rows if not row["reason"]]
    pairs = [(row["stated"], row["answer"]) for row in asked]
    purposes = purposes_of((task for task, _ in pairs), unsafe_no_hidden_tests=config.unsafe_no_hidden_tests)
    verdicts = context.domain.judge(pairs, purposes, context.sandbox, context.progress)
    for row, verdict in zip(asked, verdicts, strict=True):
        if verdict.status == "INFRA":
            raise InfraError(f"a human row could not be judged: {verdict.reason}", "`loopwright doctor` checks the sandbox")
        if verdict.status == "FAIL":
            row |= {"reason": "check failed", "detail": verdict.reason[:200]}
        elif not verdict.passed:
            row["reason"] = verdict.status.lower().replace("_", " ")  # what the process said may differ from run to run
    return rows


def _link(context: PhaseContext, rows: int) -> None:
    digest = seal(context.output / "accepted", "accepted").manifest.digest
    shard = Shard(path=f"cycles/{context.cycle}/accepted", digest=digest, rows=rows, human=rows)
    (context.output / "archive").mkdir()
    write_link(
        context.output / "archive",
        Link(cycle=context.cycle, previous=None, shard=shard, rows=rows, human=rows, recipe=None),
    )


def _licence(domain: str) -> str:
    """Of the package that brings the domain, and so its data."""
    for entry in entry_points(group="loopwright.domains", name=domain):
        if entry.dist is not None:
            said = entry.dist.metadata.json
            return str(said.get("license_expression") or said.get("license") or "unknown")
    return "unknown"
