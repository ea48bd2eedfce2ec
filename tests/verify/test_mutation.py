"""Mutants: valid programs, each other than the original, chosen by the program alone."""

from __future__ import annotations

import ast
import difflib

import pytest

from loopwright.verify.mutation import chosen, mutants

SOURCE = '''"""A module."""
LIMIT = 3

def helper(x):
    return x + 1

def f(x, y=2):
    """Says 1 + 1."""
    total = 0
    for v in x:
        if v > y and v != 4:
            total += v * 2
    return total if total < 100 else LIMIT
'''


def test_each_changes_one_place_of_the_function_and_nothing_else() -> None:
    plain = ast.unparse(ast.parse(SOURCE)).splitlines()
    found = list(mutants(SOURCE, "f"))
    assert len({text for _, text in found}) == len(found) >= 12
    for line, text in found:
        changed = [one for one in difflib.ndiff(plain, text.splitlines()) if one[0] in "+-"]
        assert len(changed) == 2, text
        assert SOURCE.splitlines()[line - 1].strip().split()[0] in {"def", "total", "if", "return"}
        compile(text, "mutant", "exec")
        assert '"""Says 1 + 1."""' in text
        assert "return x + 1" in text


def test_the_kinds_that_the_literature_names() -> None:
    texts = "\n".join(text for _, text in mutants(SOURCE, "f"))
    for piece in ("v >= y", "v == 4", "or v != 4", "total -= v * 2", "v + 2", "total = 1", "not total < 100", "return None"):
        assert piece in texts, piece


def test_some_are_chosen_and_always_the_same() -> None:
    every = {text for _, text in mutants(SOURCE, "f")}
    assert set(chosen(SOURCE, "f", 1000)) == every
    some = chosen(SOURCE, "f", 5)
    assert some == chosen(SOURCE, "f", 1000)[:5], "more of them are the same and others"
    assert len(set(some)) == 5
    assert chosen(SOURCE + "\n", "f", 5) != some, "another text, another choice"
    assert chosen("def f(x):\n pass\n", "f", 5) == []


def test_of_two_functions_of_one_name_the_last_is_changed() -> None:
    source = "def f(x):\n    return x + 1\n\ndef f(x):\n    return x * 3\n"
    assert all("return x + 1" in text for text in chosen(source, "f", 9))


@pytest.mark.parametrize(
    ("source", "said"), [("def f(x) return", "no Python"), ("def g(x): return 1", "no function 'f'"), ("\0", "no Python")]
)
def test_what_is_no_reference(source: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        mutants(source, "f")
    with pytest.raises(ValueError, match=said):
        chosen(source, "f", 1)
