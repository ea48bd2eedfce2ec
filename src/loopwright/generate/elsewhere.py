"""A model elsewhere answers the tasks in the champion's place: the rows, their seeds and their order are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from loopwright.endpoint import Desk, Question, answers
from loopwright.errors import PlanError
from loopwright.plugins import PhaseContext
from loopwright.prompts import fill
from loopwright.sections import GenerateSection

__all__ = ["answered_elsewhere"]


def answered_elsewhere(
    config: GenerateSection, shards: Sequence[Sequence[Mapping[str, Any]]], context: PhaseContext
) -> list[list[tuple[str, int, int | None]]]:
    """Answer, its tokens and the question's for each row of each shard; errors as in `loopwright.endpoint.answers`.

    Blanks around an answer are the endpoint's manner and no part of it.
    """
    if config.endpoint is None or len(config.prompts) != 1:
        raise PlanError("the generator has no endpoint, or no prompt to ask it with", "generator.prompt in loop.yaml names one")
    template = config.prompts[0].text
    questions = [
        Question(
            text=fill(template, {"prompt": row["prompt"]}),
            seed=row["seed"],
            temperature=config.temperature,
            max_tokens=config.max_new_tokens,
        )
        for row in chain.from_iterable(shards)
    ]
    desk = Desk(root=context.root, scratch=context.scratch, offline=context.offline)
    found = iter(answers(config.endpoint, questions, desk, context.progress))
    return [[((answer := next(found)).text.strip(), answer.tokens_out, answer.tokens_in) for _ in shard] for shard in shards]
