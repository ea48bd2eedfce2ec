"""`loopwright plan`: what a launch will cost, estimated before it starts, each figure with its method.

FLOP go by 6·P·tokens for training and 2·P·tokens for sampling (Kaplan et al. 2020); hours by the workspace's own past
cycles where it has some, else by the demo's figures on two CPU cores, which is said.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import asdict, replace
from typing import Any

from loopwright.budgets import Line, Used, lines, passed, used_by
from loopwright.plan import Plan
from loopwright.planfile import parse_recipes
from loopwright.plugins import load_domain, load_family
from loopwright.workspace import Workspace

__all__ = ["estimate", "show"]

GUESSED_SAMPLED, GUESSED_TRAINED = 40, 27
"""Tokens of a sampled answer and of a trained row before anything was measured: means of the default loop's five cycles."""
GUESSED_FLOPS = 1.25e10
"""Useful floating-point operations a second of the built-in model on two CPU cores, all phases together."""


def estimate(workspace: Workspace) -> dict[str, Any]:
    """Steps, tokens, FLOP, hours and disk of the cycles that are still to turn. Plain JSON."""
    plan, state = workspace.plan(), workspace.state()
    recipe = parse_recipes((workspace.root / "recipe.yaml").read_text(encoding="utf-8"))
    family = load_family(plan.model.name, plan.model.settings)
    domain = load_domain(plan.domain.name, plan.domain.settings, workspace.root)
    parameters = family.parameters(family.create(domain.alphabet(), 0))
    closed = [record for record in state.cycles.values() if record.closed_at and record.prev]
    cycles = max(plan.cycles - len(closed), 0)
    past = [_measured(record) for record in closed]
    rows = plan.generator.tasks * plan.generator.samples
    if past:
        sampled, trained = (round(statistics.mean(one[name] for one in past)) for name in ("sampled", "trained"))
    else:
        examined = 2 * plan.examiner.draws
        sampled = (rows + examined + sum(map(len, domain.suites().values()))) * GUESSED_SAMPLED
        trained = recipe.cycle.steps * recipe.cycle.batch * GUESSED_TRAINED
    first = 0 if state.cycles else recipe.seed.steps * recipe.seed.batch * GUESSED_TRAINED
    flop = cycles * (2.0 * parameters * sampled + 6.0 * parameters * trained) + 6.0 * parameters * first
    seconds = cycles * statistics.mean(one["seconds"] for one in past) if past else flop / GUESSED_FLOPS
    method = f"mean of {len(past)} past cycles" if past else "no cycle has run: built-in model on two CPU cores, ±50 %"
    return {
        "schema_version": 1,
        "cycles": cycles,
        "parameters": parameters,
        "steps": cycles * recipe.cycle.steps + (0 if state.cycles else recipe.seed.steps),
        "tokens": cycles * (sampled + trained) + first,
        "flop": flop,
        "hours": seconds / 3600,
        "disk_bytes": cycles * (4 * parameters + rows * 60),
        "budgets": _budgets(workspace, plan, cycles, seconds, flop),
        "method": {
            "tokens": method,
            "flop": "2·P·sampled + 6·P·trained tokens",
            "hours": method,
            "disk": "weights in float32 and 60 bytes a proposed row",
        },
    }


def show(cost: dict[str, Any]) -> None:
    """Print it for a person."""
    sys.stdout.write(
        f"{cost['cycles']} cycles of a model with {cost['parameters']:,} parameters (estimates)\n"
        f"  steps   {cost['steps']:,}\n"
        f"  tokens  {cost['tokens']:,}   ({cost['method']['tokens']})\n"
        f"  FLOP    {cost['flop']:.2e}   ({cost['method']['flop']})\n"
        f"  hours   {cost['hours']:.2f}   ({cost['method']['hours']})\n"
        f"  disk    {cost['disk_bytes'] / 2**20:.1f} MiB   ({cost['method']['disk']})\n"
    )
    for line in cost["budgets"]:
        word = "WARNING: exceeds" if line["exceeded"] else "within"
        said = f"{line['used']:.4g} used, {line['expected']:.4g} expected, limit {line['limit']:.4g} {line['unit']}".rstrip()
        sys.stdout.write(f"  {word} budget {line['name']}: {said} ({line['method']})\n")


def _budgets(workspace: Workspace, plan: Plan, cycles: int, seconds: float, flop: float) -> list[dict[str, Any]]:
    """Each budget that has a limit: used so far, expected at the end, and whether that is too much."""
    ledger = workspace.ledger()
    try:
        used = used_by(ledger.statements())
    finally:
        ledger.close()
    then = used.running(seconds)
    at_end = lines(plan.budgets, _later(then, cycles, flop))
    return [
        {**asdict(now), "expected": end.used, "exceeded": end.used > (now.limit or 0.0)}
        for now, end in zip(_limited(lines(plan.budgets, used)), _limited(at_end), strict=True)
    ]


def _later(used: Used, cycles: int, flop: float) -> Used:
    """What models elsewhere cost so far goes on, by the cycle."""
    paid = used.paid * (1 + cycles / max(1, used.cycles))
    return replace(used, cycles=used.cycles + cycles, flop=used.flop + flop, paid=paid)


def _limited(found: tuple[Line, ...]) -> list[Line]:
    return [line for line in found if line.limit is not None]


def _measured(record: Any) -> dict[str, float]:
    summary = {phase: done.summary for phase, done in record.phases.items()}
    tokens = {phase: passed(summary.get(phase, {})) for phase in ("generate", "train", "evaluate", "examine")}
    return {
        "sampled": tokens["generate"] + tokens["evaluate"] + tokens["examine"],
        "trained": tokens["train"],
        "seconds": sum(done.seconds for done in record.phases.values()),
    }
