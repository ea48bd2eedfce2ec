"""The phase ``verify``: proposals in; accepted rows, refused rows with their reasons, and the curriculum out.

A row is refused for the first of these that applies: its form (``schema``), its task (``unknown task``, ``task
differs``), behaviour that belongs to the gate or sealed suite (``held out``), no or broken text, text of
a suite (``contaminated``), what a recall left out (``recalled``), text of a model elsewhere that the loop's own has no
tokens for (``not learnable``), a repetition within the
cycle or of the archive, what the static scan found, a check that failed or how the candidate ended, nearness
to another row where the plan asks for it, the plan's limit a task, and what a second look at a sample of the accepted ones found (`loopwright.verify.measuring`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.domains.contamination import FILE, NGRAMS
from loopwright.errors import IntegrityError
from loopwright.plugins import PhaseContext, plugin_identity
from loopwright.sections import VerifySection
from loopwright.store.archive import shards
from loopwright.store.tables import REFUSED, ROWS, SIGNATURES, read_table, write_frame
from loopwright.types import canonical
from loopwright.verify.judge import judged
from loopwright.verify.judging import Judged, give_verdicts, refuse_failed
from loopwright.verify.measuring import PROBE, Gold, gold_rows, measured
from loopwright.verify.nearness import refuse_near
from loopwright.verify.recipe import RECIPE, RecipeRefused, changed_recipe
from loopwright.verify.schema import read_proposals
from loopwright.verify.screening import (
    UNTRIED,
    clean_text,
    curriculum,
    known_tasks,
    limit,
    match_tasks,
    refuse_duplicates,
    refuse_recalled,
    refuse_unlearnable,
    stated_tasks,
    well_formed,
)

__all__ = ["DETAILS", "LICENCE", "verify"]

LICENCE = "LicenseRef-model-output"
"""Licence of rows that a model wrote."""

DETAILS: Mapping[str, str] = {**REFUSED, "detail": "string"}
"""``refused.parquet``: the row, the reason to count by, and which check it was."""


def verify(config: VerifySection, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
    """Write ``accepted`` from ``proposals``, ``archive`` (the chain so far) and ``heldout``; return the summary.

    Raises:
        InfraError: the asked isolation is missing, or an answer could not be judged.
        IntegrityError: an input is not what was recorded, or is no table of proposals.
        PlanError: the domain has no hidden checks, and the plan does not say that this is meant.
    """
    context = judged(config, context)
    output = context.output / "accepted"
    output.mkdir(parents=True)
    generator, external, drawn = _generation(inputs["proposals"])
    gold = gold_rows(config, context)
    seen = _judged(config, inputs, gold, context, elsewhere=external is not None)
    frame, probe = measured(limit(seen.frame, config.per_task).sort("row"), gold, seen.gold, config, context)
    same = {"origin": generator, "licence": LICENCE, "cycle": context.cycle, "verifier": _verifier(config, context)}
    accepted, refused = pl.col("reason").is_null(), pl.col("reason").is_not_null()
    write_frame(output / "rows.parquet", ROWS, frame, accepted, same)
    write_frame(output / "refused.parquet", DETAILS, frame, refused, same)
    levels = {**dict.fromkeys(drawn, UNTRIED), **curriculum(frame)}
    (output / "curriculum.json").write_bytes(canonical({"levels": levels}))
    told = {"schema": 1, **probe} if external is None else {"schema": 1, **probe, "external": external}
    (output / PROBE).write_bytes(canonical(told))
    summary: dict[str, Any] = {
        "accepted": frame["reason"].null_count(),
        "refused": dict(sorted(frame["reason"].drop_nulls().value_counts().iter_rows())),
        "solved": {level: counts["rate"] for level, counts in levels.items() if counts["samples"]},
        "isolation": dict(seen.isolation),
        "scanned": seen.scanned,
        "accept": config.accept,
        "probe": probe,
    }
    if config.unsafe_no_hidden_tests:
        summary["unsafe_no_hidden_tests"] = True
    if judges := tuple(getattr(context.domain, "judge_models", ())):
        summary["judge_models"] = list(judges)
    if config.judge is not None:
        summary["judge"] = config.judge.endpoint.described
        summary["prompts"] = [{"path": one.path, "digest": one.digest} for one in config.prompts]
    diff = inputs["proposals"] / "recipe.diff"
    return {**summary, "recipe": _recipe(diff, config, output)} if diff.exists() else summary


def _judged(config: VerifySection, inputs: Mapping[str, Path], gold: Gold, context: PhaseContext, *, elsewhere: bool) -> Judged:
    """All rows, each without a reason or with its first, and what the verifier did."""
    frame = read_proposals(inputs["proposals"]).drop("tokens", "seed").sort("sample", "row")
    tasks = stated_tasks(frame, context.domain)
    heldout = {row["signature"] for row in read_table(inputs["heldout"] / "signatures.parquet", SIGNATURES)}
    frame = match_tasks(frame, known_tasks(tasks), heldout)
    frame = frame.with_columns(tried=pl.col("reason").is_null())
    frame = clean_text(well_formed(frame), _held_text(inputs["heldout"]))
    frame = refuse_recalled(frame, frozenset(config.exclude.rows))
    if elsewhere:
        frame = refuse_unlearnable(frame, context.family, context.domain.alphabet())
    archive = _archived(context.root, inputs["archive"])
    if config.accept == "unsafe_unverified":
        frame = frame.with_columns(tried=pl.lit(value=False), status=pl.lit(None, dtype=pl.String))
        return Judged(frame=refuse_duplicates(frame, archive), isolation=Counter(), scanned=0)
    judged = give_verdicts(frame, tasks, [(task, answer) for task, answer, _ in gold], config, context)
    frame = refuse_failed(refuse_duplicates(judged.frame, archive))
    return replace(judged, frame=refuse_near(frame, archive, config, context))


def _held_text(heldout: Path) -> dict[str, str]:
    """Suite by sequence of words; nothing where the seed phase of an earlier version wrote none."""
    path = heldout / FILE
    return {row["gram"]: row["suite"] for row in read_table(path, NGRAMS)} if path.exists() else {}


def _archived(root: Path, archive: Path) -> pl.DataFrame:
    """Ids, prompts and answers of all shards, each checked against the record."""
    chain = shards(root, archive.relative_to(root).as_posix())
    paths = [root / shard.path / "rows.parquet" for shard in chain if shard.rows]
    rows = [pl.read_parquet(path, columns=["id", "prompt", "answer"]) for path in paths]
    return pl.concat([pl.DataFrame(schema=dict.fromkeys(("id", "prompt", "answer"), pl.String)), *rows])


def _generation(proposals: Path) -> tuple[str, Any, list[str]]:
    """Digest of the model that wrote the rows, what it is where it's no model of the loop, and the levels that it was asked for."""
    try:
        said = json.loads((proposals / "generation.json").read_bytes())
        model, levels = said["model"], sorted(said["weights"], key=int)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"generation.json does not say which model made the proposals, and for which levels: {error!r}",
            "run the generate phase again",
        ) from error
    return str(model), said.get("external"), levels


def _verifier(config: VerifySection, context: PhaseContext) -> str:
    """Whose verdict let a row in, as ``distribution/name@version``; the control arm says that nobody's did."""
    if config.accept == "unsafe_unverified":
        return config.accept
    return plugin_identity("domains", context.refs["domain"]["name"])


def _recipe(diff: Path, config: VerifySection, output: Path) -> dict[str, Any]:
    """Take a recipe proposal or keep it with the reason why not."""
    try:
        text = diff.read_text(encoding="utf-8")
        recipe = changed_recipe(text, config.recipe_base, allowed=config.recipe_files, human_floor=config.human_floor)
    except (RecipeRefused, UnicodeDecodeError) as error:
        reason = "the diff is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        (output / "refused_recipe.json").write_bytes(canonical({"diff": diff.read_text("utf-8", "replace"), "reason": reason}))
        return {"accepted": False, "reason": reason}
    (output / RECIPE).write_text(recipe, encoding="utf-8")
    return {"accepted": True}
