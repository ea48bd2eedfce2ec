"""Published theory of accumulate against replace, reproduced within three standard errors."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def theory(repository: Path) -> ModuleType:
    path = repository / "benchmarks" / "published" / "accumulate.py"
    spec = importlib.util.spec_from_file_location("published_accumulate", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("setting", ["regression", "gaussian", "zipf"])
def test_every_value_is_what_the_theory_says(theory: ModuleType, setting: str) -> None:
    findings = list(getattr(theory, setting)())
    assert [one for one in findings if not one.agrees] == []
    last = {one.arm: one for one in findings if one.generation > 10}
    swapped = replace(last["replace"], theory=last["accumulate"].theory)
    assert not swapped.agrees, "the two arms are told apart"
