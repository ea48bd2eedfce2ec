"""The threat model is about this code: the tests that it names exist, and every attack of the hostile set stands in it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.hostile.cases import cases

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:tests|benchmarks)/[^` ]+|test_[a-z0-9_]+…?)`", TEXT)))
"""Files and folders, with or without a test's name, and names of tests alone; a name that ends in … is the beginning of one."""


@cache
def source(path: Path) -> str:
    files = [path] if path.is_file() else sorted(path.rglob("test_*.py"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize("named", NAMED)
def test_what_holds_a_control_exists(named: str) -> None:
    path, _, test = named.partition("::") if "/" in named else ("tests", "", named)
    assert (ROOT / path).exists()
    assert not test or re.search(
        rf"^def {test.removesuffix('…')}{'' if test.endswith('…') else chr(92) + '('}", source(ROOT / path), re.MULTILINE
    )


def test_every_attack_of_the_set_has_its_row() -> None:
    assert len(NAMED) > 40
    assert {case.threat for case in cases()} <= set(re.findall(r"^\| (T\d\d) \|", TEXT, re.MULTILINE))
