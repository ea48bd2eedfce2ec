"""The order of a cycle. It is written here and nowhere else; ``dvc.yaml`` holds the same phases, and a test compares them."""

from __future__ import annotations

from loopwright.run import Run
from loopwright.sections import CyclePlan
from loopwright.turn import CycleState
from loopwright.types import Artifact

__all__ = ["cycle", "seed"]


def seed(plan: CyclePlan, state: CycleState, run: Run) -> Artifact:
    """Cycle c0000: human data, the frozen suites, and the first model with its scores."""
    first = run("seed", plan.seed, state.sources)
    model = run("train", plan.trainer, None, first["archive"])
    evidence = run("evaluate", plan.evaluator, None, model, first["suites"])
    card = run("examine", plan.examiner, None, None, model, None, first["archive"], evidence, first["suites"])
    return run("decide", plan.gate, evidence, card, None)


def cycle(plan: CyclePlan, state: CycleState, run: Run) -> Artifact:
    """One turn: the champion proposes, what passes the checks joins the archive, a challenger learns, is examined, the gate decides."""
    proposals = run("generate", plan.generator, state.recipe, state.champion, state.curriculum, state.heldout)
    accepted = run("verify", plan.verifier, proposals, state.archive, state.heldout)
    archive = run("merge", plan.mix, state.archive, accepted)
    if run.empty(accepted):
        card = run("examine", plan.examiner, state.card, None, None, accepted, archive, None, state.suites)
        return run("decide", plan.gate, None, card, state.error_budget)
    challenger = run("train", plan.trainer, state.champion, archive)
    evidence = run("evaluate", plan.evaluator, state.champion_scores, challenger, state.suites)
    card = run("examine", plan.examiner, state.card, state.first, challenger, accepted, archive, evidence, state.suites)
    return run("decide", plan.gate, evidence, card, state.error_budget)
