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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.errors import IntegrityError
from loopwright.plugins import PhaseContext, plugin_identity
from loopwright.sections import VerifySection
from loopwright.store.tables import REFUSED, ROWS, frame_writer
from loopwright.types import canonical
from loopwright.verify.deciding import decided
from loopwright.verify.judge import judged
from loopwright.verify.measuring import PROBE, gold_rows, measured, refuse_failing
from loopwright.verify.recipe import RECIPE, RecipeRefused, changed_recipe
from loopwright.verify.screening import UNTRIED, curriculum

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
    same = {"origin": generator, "licence": LICENCE, "cycle": context.cycle, "verifier": _verifier(config, context)}
    with decided(config, inputs, gold, context, elsewhere=external is not None) as seen:
        failed, probe = measured(seen.kept, seen.rows, gold, seen.gold, config, context)
        counts = _written(output, seen.groups(), same, failed)
    levels = {**dict.fromkeys(drawn, UNTRIED), **curriculum(seen.levels)}
    (output / "curriculum.json").write_bytes(canonical({"levels": levels}))
    told = {"schema": 1, **probe} if external is None else {"schema": 1, **probe, "external": external}
    (output / PROBE).write_bytes(canonical(told))
    summary: dict[str, Any] = {
        "accepted": counts.pop(None, 0),
        "refused": dict(sorted(counts.items())),
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


def _written(
    output: Path, groups: Iterable[pl.DataFrame], same: Mapping[str, str], failed: Mapping[str, str]
) -> Counter[str | None]:
    """Write both tables; rows by reason (none: accepted). ``failed`` are rows, by id, that the second look was against."""
    counts, fine = Counter[str | None](), pl.col("reason").is_null()
    with (
        frame_writer(output / "rows.parquet", ROWS, same) as accept,
        frame_writer(output / "refused.parquet", DETAILS, same) as refuse,
    ):
        for group in groups:
            rows = refuse_failing(group, failed)
            accept(rows.filter(fine))
            refuse(rows.filter(~fine))
            counts.update(dict(rows["reason"].value_counts().iter_rows()))
    return counts


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
