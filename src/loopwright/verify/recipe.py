"""A proposed change of how models are trained: applied to allow-listed files, then held against what may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from loopwright.errors import PlanError
from loopwright.plan import Recipes
from loopwright.planfile import parse_recipes
from loopwright.verify.patch import PatchRefused, apply_diff

__all__ = ["RECIPE", "RecipeRefused", "changed_recipe"]

RECIPE = "recipe.yaml"
"""The one training file there is so far."""
_DEEPEST = 5
"""A section holds values and one list; whatever is parsed by recursion must not be deep."""


class RecipeRefused(ValueError):
    """The proposal may not be taken; the message says why."""


def changed_recipe(diff: str, base: str, *, allowed: Sequence[str], human_floor: float) -> str:
    """The text of ``recipe.yaml`` after the change.

    Args:
        diff: Unified diff.
        base: The champion's recipe, as text.
        allowed: Files that the plan lets a proposal change.
        human_floor: Least share of human rows in every batch.

    Raises:
        RecipeRefused: the diff does not apply exactly, touches something else, or makes a recipe that is invalid,
            changes more than the ``cycle`` section, or falls below the floor.
    """
    files: Mapping[str, str] = {RECIPE: base} if RECIPE in allowed else {}
    try:
        text = apply_diff(diff, files)[RECIPE]
        old, new = parse_recipes(base), _parsed(text)
    except (PatchRefused, PlanError) as error:
        raise RecipeRefused(str(error)) from error
    if new.seed != old.seed:
        raise RecipeRefused("the first model's section `seed` may not change: only `cycle` may")
    if new == old:
        raise RecipeRefused("it leaves every value as it is")
    if new.cycle.human_share < human_floor:
        share = new.cycle.human_share
        raise RecipeRefused(f"cycle.human_share {share} is below the plan's floor of {human_floor} for human data")
    return text


def _parsed(text: str) -> Recipes:
    """A valid recipe; YAML's references are refused, since a few lines of them may stand for gigabytes, and so is depth."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise RecipeRefused(f"the changed {RECIPE} uses a YAML reference (`*name`)")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise RecipeRefused(f"the changed {RECIPE} is nested deeper than any recipe is")
    except yaml.YAMLError as error:
        raise RecipeRefused(f"the changed {RECIPE} is no YAML: {error}") from error
    return parse_recipes(text, RECIPE)
