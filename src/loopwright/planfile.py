"""``loop.yaml`` and ``recipe.yaml`` -> values, or an error that says file:line:key, the value seen and what is allowed.

Nothing is guessed: unknown keys, keys given twice, wrong types and impossible values are all refused.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from loopwright.envelope import Envelope, EnvelopeFile
from loopwright.errors import PlanError
from loopwright.plan import Plan, Recipes, Section

__all__ = ["load_plan", "parse_as", "parse_envelope", "parse_recipes", "plan_schema"]

Model = TypeVar("Model", bound=Section)
Keys = tuple[str | int, ...]

_PASSWORD = re.compile(r"(://[^:@/\s]*:)[^\s\"]*@")
"""In a URL: an error shows what it saw, and goes into logs."""


def load_plan(path: Path, overrides: tuple[str, ...] = ()) -> Plan:
    """Read and check a plan; ``overrides`` are ``dotted.key=value`` in YAML.

    Raises:
        PlanError: with file, line, key, the value seen and what is allowed.
    """
    data, lines = _read(path)
    for override in overrides:
        _override(data, override)
    return _validate(Plan, data, lines, path.name)


def parse_recipes(text: str, name: str = "recipe.yaml") -> Recipes:
    """Check the text of a ``recipe.yaml``; PlanError as in `load_plan`."""
    return parse_as(Recipes, text, name)


def parse_as(model: type[Model], text: str, name: str) -> Model:
    """Check the text of a YAML or JSON file that a person writes; PlanError as in `load_plan`."""
    data, lines = _parse(text, name)
    return _validate(model, data, lines, name)


def parse_envelope(text: str, name: str = "envelope.yaml") -> Envelope | None:
    """Check the text of an ``envelope.yaml``; None where it says ``none``; PlanError as in `load_plan`."""
    data, lines = _parse(text, name)
    return None if data == {"envelope": "none"} else _validate(EnvelopeFile, data, lines, name).envelope


def plan_schema() -> dict[str, Any]:
    """The plan's JSON Schema (2020-12), for editors and for whoever wants to check a plan elsewhere."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Plan.model_json_schema()}


def _read(path: Path) -> tuple[dict[str, Any], dict[Keys, int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PlanError(
            f"{path.name}: not found in {path.parent}", "loopwright init DIRECTORY makes a workspace with one"
        ) from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path.name}: not UTF-8 text (byte {error.start})", "save the file as UTF-8") from error
    return _parse(text, path.name)


def _parse(text: str, name: str) -> tuple[dict[str, Any], dict[Keys, int]]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise PlanError(f"{name}:{line}: not YAML: {getattr(error, 'problem', error)}", "mend the line") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise PlanError(
            f"{name}:1: a value that cannot be read: {error}", "find the line that is not like the others"
        ) from error
    if data is None:
        return {}, {}
    if not isinstance(data, dict):
        raise PlanError(f"{name}:1: saw {_show(data)}; allowed: keys and values", "see `loopwright config schema`")
    lines: dict[Keys, int] = {}
    _mark(node, (), lines, name)
    return data, lines


def _mark(node: yaml.Node, path: Keys, lines: dict[Keys, int], name: str) -> None:
    """Remember the line of every key; refuse a key given twice, of which YAML would silently keep the last."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            if here in lines:
                where = f"{name}:{key.start_mark.line + 1}:{_dotted(here)}"
                raise PlanError(f"{where}: given twice (first on line {lines[here]})", "keep one of them")
            lines[here] = key.start_mark.line + 1
            _mark(value, here, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _mark(value, (*path, index), lines, name)


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise PlanError(f"--set {override}: allowed: KEY=VALUE", "for example --set generator.tasks=600")
    *parents, last = key.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise PlanError(f"--set {key}: {parent} is a value, not a section", "see `loopwright config schema`")
    data[last] = yaml.safe_load(text)


def _validate(model: type[Model], data: dict[str, Any], lines: dict[Keys, int], name: str) -> Model:
    try:
        # By way of JSON: its strict mode takes lists for tuples and refuses everything that JSON cannot say.
        return model.model_validate_json(json.dumps(data, default=str))
    except TypeError as error:
        raise PlanError(f"{name}:1: a key that is neither text nor a number: {error}", "mend the key") from error
    except ValidationError as error:
        problems = [_explain(model, problem, lines, name) for problem in error.errors(include_url=False)]
        raise PlanError("\n".join(problems), "mend the lines above, then `loopwright config check`") from error


def _explain(model: type[Section], problem: Any, lines: dict[Keys, int], name: str) -> str:
    path: Keys = tuple(problem["loc"])
    line = next((lines[path[:length]] for length in range(len(path), -1, -1) if path[:length] in lines), 1)
    where = f"{name}:{line}:{_dotted(path) or '(whole file)'}"
    if problem["type"] == "extra_forbidden":
        known = _keys(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{where}: unknown key, value {_show(problem['input'])}{hint}; allowed: {', '.join(known)}"
    if problem["type"] == "missing":
        return f"{where}: missing; allowed: {problem['msg'].lower()}"
    allowed = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{where}: saw {_show(problem['input'])}; allowed: {allowed}"


def _keys(model: type[Section], path: Keys) -> list[str]:
    """Names of the fields of the section at a path."""
    current: Any = model
    for part in path:
        known = getattr(current, "model_fields", {})
        if isinstance(part, int) or part not in known:  # an item of a list, or a key of a mapping: what it holds
            continue
        annotation = known[part].annotation
        inner = [piece for piece in (annotation, *getattr(annotation, "__args__", ())) if hasattr(piece, "model_fields")]
        if not inner:
            return []
        current = inner[0]
    return list(current.model_fields)


def _dotted(path: Keys) -> str:
    return ".".join(str(part) for part in path)


def _show(value: Any) -> str:
    text = _PASSWORD.sub(r"\1...@", json.dumps(value, default=str))
    return text if len(text) <= 60 else text[:57] + "..."
