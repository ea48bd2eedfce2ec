"""The static scan: what it finds, what it leaves alone, and that no text can kill it, hide from it or get others refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.domains.operations import LEXEMES, STEPS, answer_of
from loopwright.domains.programs import Programs
from loopwright.errors import InfraError
from loopwright.verify import scan as scanning
from loopwright.verify.constructs import ALLOWED_IMPORTS, BANNED_NAMES, finding
from loopwright.verify.scan import UNREADABLE, scan

UNSAFE = {
    "import os\n": "import os",
    "from os import path\n": "import os",
    "from . import x\n": "import .",
    "def f(x):\n def g():\n  import socket\n": "import socket",
    "def f(x): return eval(x)\n": "name eval",
    "e = eval\n": "name eval",
    "x = ().__class__.__subclasses__()\n": "attribute __subclasses__",
    "def f(x): return f.__globals__\n": "attribute __globals__",
    "def f(g): return g.gi_frame.f_back\n": "attribute f_back",
    "def f(e): return e.tb_frame\n": "attribute tb_frame",
    "import operator\ng = operator.attrgetter('a.__class__.b')\n": "text __class__",
    "y = '{0.__class__}'.format(1)\n": "text __class__",
    "def f(x, n): return getattr(x, n)\n": "getattr of a computed name",
}
CLEAN = [
    "import math, collections.abc\nfrom itertools import chain\ndef f(x): return math.pi\n",
    "class A:\n def __init__(self):\n  super().__init__()\n def __eq__(self, other): return True\n",
    "def f(x): return getattr(x, 'real')\n",
    "if __name__ == '__main__':\n print(1)\n",
    "import random\ndef f(x):\n assert x\n return random.random()\n",
    "def f(x): return '\\d'\n",  # the parser warns
]


@pytest.mark.parametrize(("source", "said"), UNSAFE.items())
def test_a_banned_construct_is_named(source: str, said: str) -> None:
    assert finding(source) == said


@pytest.mark.parametrize("name", sorted(BANNED_NAMES))
def test_every_banned_name_is_found(name: str) -> None:
    assert finding(f"def f(x):\n return [{name} for _ in x]\n") == f"name {name}"


@pytest.mark.parametrize("source", CLEAN)
def test_plain_computation_is_clean(source: str, tmp_path: Path) -> None:
    assert finding(source) is None
    assert scan({"it": source}, tmp_path) == {}


def test_every_allowed_module_exists_and_is_clean(tmp_path: Path) -> None:
    assert scan({name: f"import {name}\n" if name != "__future__" else "" for name in ALLOWED_IMPORTS}, tmp_path) == {}


def test_ruff_finds_what_the_tree_does_not(tmp_path: Path) -> None:
    weak = "import hashlib\ndef f(x): return hashlib.md5(x).hexdigest()\n"
    found = scan(
        {"weak": weak, "fine": "x = 1\n", "hidden": "# ruff: noqa\n" + weak.replace(")\n", ")  # noqa: S324\n")}, tmp_path
    )
    assert found.keys() == {"weak", "hidden"}
    assert all(said.startswith("S324 ") for said in found.values())


def test_what_is_no_python_is_left_to_the_sandbox(tmp_path: Path) -> None:
    assert scan({"broken": "x = (\n", "nul": "x\0", "deep": "-" * 60_000 + "1"}, tmp_path) == {}


def test_a_folder_that_git_ignores_is_read_all_the_same(tmp_path: Path) -> None:
    """The phase's scratch is one: ruff would say nothing at all about what is in it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*\n", encoding="utf-8")
    (tmp_path / "scratch").mkdir()
    assert scan({"a": "import hashlib\nh = hashlib.md5(b'')\n"}, tmp_path / "scratch").keys() == {"a"}


def test_a_reader_that_reads_nothing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_KNOWN", "x = 1\n")
    with pytest.raises(InfraError, match="did not read"):
        scan({"a": "x = 1\n"}, tmp_path)


def test_what_kills_ruff_is_refused_and_nobody_else_is(tmp_path: Path) -> None:
    """Its parser overflows its stack; ours refuses to go so deep, so that it is asked directly here."""
    sources = {f"n{number}": f"x = {number}\n" for number in range(6)}
    bombs = {"bomb": "x = " + "-" * 60_000 + "1\n", "other": "x = a" + "()" * 60_000 + "\n"}
    found = scanning._halved(scanning._ruff, {**sources, **bombs}, tmp_path)
    assert found == {**dict.fromkeys(sources), **dict.fromkeys(bombs, UNREADABLE)}


def test_what_kills_our_reader_is_refused_and_a_broken_reader_is_no_finding(tmp_path: Path) -> None:
    def dies_of(word: str) -> scanning.Reader:
        return lambda sources, _: None if any(word in text for text in sources.values()) else dict.fromkeys(sources)

    sources = {f"n{number}": "bomb" if number in {3, 4} else "x" for number in range(9)}
    found = scanning._halved(dies_of("bomb"), sources, tmp_path)
    assert {name for name, said in found.items() if said == UNREADABLE} == {"n3", "n4"}
    with pytest.raises(InfraError, match="dies of any program"):
        scanning._halved(dies_of(""), sources, tmp_path)


def test_nothing_is_left_and_what_was_left_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "p000000.py").write_text("exec('')\n", encoding="utf-8")
    assert scan({"a": "x = 1\n", "b": "x = 2\n"}, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_no_reference_answer_is_unsafe(tmp_path: Path) -> None:
    domain = Programs()
    assert scan({step.words: domain.program(answer_of((step,))) for step in STEPS}, tmp_path) == {}


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(LEXEMES), max_size=40).map("".join))
def test_nothing_that_the_small_model_can_write_is_unsafe(answer: str) -> None:
    assert not finding(Programs().program(answer))


@given(st.text(max_size=300))
def test_any_text_has_a_finding(text: str) -> None:
    assert finding(text) is None or isinstance(finding(text), str)
