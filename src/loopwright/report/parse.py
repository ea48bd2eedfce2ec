"""Reads a YAML file of ``reports/`` into a strict model; what is wrong is told with file, line and key.

Fast where all is well (libyaml, one pass); where something is not, `planfile` reads it again and explains.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from loopwright.errors import PlanError, UsageError
from loopwright.planfile import parse_as
from loopwright.policy import Section

__all__ = ["parse_strict"]

Model = TypeVar("Model", bound=Section)
_LARGEST = 4_000_000
"""Bytes of a file that a person wrote."""


class _Loader(yaml.CSafeLoader):
    """Refuses a key that is given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.YAMLError("a key is given twice")
        return super().construct_mapping(node, deep=deep)


def parse_strict(model: type[Model], data: bytes, name: str) -> Model:
    """The values of a file; UsageError with file:line:key, what was seen and what is allowed."""
    if len(data) > _LARGEST:
        raise UsageError(f"{name}: {len(data)} bytes; allowed: {_LARGEST}", "a declaration holds no data; make it shorter")
    try:
        return model.model_validate_json(json.dumps(yaml.load(data, Loader=_Loader), default=str))  # noqa: S506  # safe
    except (yaml.YAMLError, ValidationError, ValueError, TypeError, RecursionError):
        return _explained(model, data, name)


def _explained(model: type[Model], data: bytes, name: str) -> Model:
    try:
        return parse_as(model, data.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 text (byte {error.start})", "save the file as UTF-8") from error
    except PlanError as error:
        step = "mend the lines above; reports/schema/ has the JSON Schemas, `loopwright report list` reads every file again"
        raise UsageError(error.message, step) from error
