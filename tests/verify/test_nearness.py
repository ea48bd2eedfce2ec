"""Near-duplicates: what is the same but for its dress, what is near, what is not, and that off is off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.domains.operations import STEPS, answer_of
from loopwright.domains.programs import Programs
from loopwright.store.tables import ROWS, read_table
from loopwright.types import Verdict
from loopwright.verify import nearness, verify
from loopwright.verify import normal as script
from loopwright.verify.bands import grams_of
from loopwright.verify.normal import normal
from loopwright.verify.phase import DETAILS

FIRST = "a = 1\nb = [x + a for x in range(9)]\ndef f(x):\n    c = [y * 2 for y in x]\n    return sorted(c) + b\n"


def test_comments_layout_and_own_names_make_no_program() -> None:
    other = "q=1  # a\nr=[ l+q for l in range(9) ]\n\n\ndef g(l):\n  m = [n*2 for n in l]\n  return sorted(m)+r\n"
    assert normal(FIRST) == normal(other)
    assert normal(FIRST) != normal(FIRST.replace("sorted", "reversed"))
    assert normal(FIRST) != normal(FIRST.replace("a = 1", "a = 2"))
    assert normal("f(key=1)") != normal("f(other=1)")
    assert normal("x = (") is None
    assert normal("-" * 60_000 + "1") is None


@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=8))
def test_a_normal_form_is_its_own(steps) -> None:
    once = normal(Programs().program(answer_of(tuple(steps))))
    assert once is not None
    assert normal(once) == once


def test_the_script_needs_nothing_but_python() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", Path(script.__file__)],
        input='{"a": "x=1 # c"}',
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == '{"a": "n0 = 1"}'


rows_of = nearness._rows


class Poems:
    """A domain of texts; all are right."""

    def __init__(self, domain) -> None:
        self.task = domain.task

    def judge(self, pairs, purposes, sandbox, progress=None):
        return [Verdict(status="PASS", level="data") for _ in pairs]


LONG = " ".join(f"w{number}" for number in range(200))


def outcome(workspace, row, answers, output="out", **changes):
    workspace.domain = Poems(workspace.domain) if not isinstance(workspace.domain, Poems) else workspace.domain
    workspace.propose([row(prompt, answer, 0, id=f"r{n}") for n, (prompt, answer) in enumerate(answers)])
    summary = verify(workspace.config(**changes), workspace.inputs, workspace.context(output))
    folder = workspace.root / output / "accepted"
    refused = {found["id"]: (found["reason"], found["detail"]) for found in read_table(folder / "refused.parquet", DETAILS)}
    return summary, [found["id"] for found in read_table(folder / "rows.parquet", ROWS)], refused


def test_a_near_text_is_refused_and_a_refused_one_refuses_nobody(workspace, row) -> None:
    """Each is near the one before it; the third is far from the first, which is the one that stays."""
    second = LONG.replace(" w5 ", " x ")
    third = " ".join(second.split()[:-30] + [f"z{number}" for number in range(30)])
    answers = [("3 4", LONG), ("3 5", second), ("3 6", third), ("1 1", "something else entirely")]
    _, accepted, refused = outcome(workspace, row, answers, near_duplicate=0.8)
    assert accepted == ["r0", "r2", "r3"]
    assert refused["r1"][0] == nearness.NEAR
    assert refused["r1"][1].endswith(" to r0")
    assert float(refused["r1"][1].split()[0]) == pytest.approx(195 / 205, abs=0.001)
    assert outcome(workspace, row, answers, output="off")[1] == ["r0", "r1", "r2", "r3"]
    assert outcome(workspace, row, answers, output="strict", near_duplicate=1.0)[1] == ["r0", "r1", "r2", "r3"]


def test_the_archive_counts_and_names_its_row(workspace, row) -> None:
    human = workspace.domain.task("2 2").id
    _, accepted, refused = outcome(workspace, row, [("2 2", "4 "), ("3 4", LONG)], near_duplicate=0.9)
    assert accepted == ["r1"]
    assert refused == {"r0": (nearness.NEAR, f"1.000 to {human}")}


@settings(deadline=None)
@given(st.lists(st.text("ab ", max_size=12), min_size=2, max_size=12), st.sampled_from([0.5, 0.8, 1.0]))
def test_nobody_is_refused_below_the_threshold_and_nobody_twice_the_same(texts, threshold) -> None:
    index, kept = nearness._Index(threshold), []
    for number, text in enumerate(texts):
        grams = grams_of(text)
        near = index.nearest(grams)
        similar = [nearness._jaccard(grams, other) for other in kept]
        if near:
            assert near[0] >= threshold
            assert near[0] in similar
        else:
            assert 1.0 not in similar
            index.keep(f"{number:03}", grams)
            kept.append(grams)


def test_bands_of_the_archive_are_computed_once_and_a_damaged_cache_is_made_again(workspace, row, monkeypatch) -> None:
    """The same refusals from the cache, by slices of one row, and without it; where it is there, no archived text is cut again."""
    asked = [("2 2", "4 "), ("1", "1  "), ("3 4", LONG)]
    first = outcome(workspace, row, asked, near_duplicate=0.9)
    [cache] = (workspace.root / ".loopwright" / "near").iterdir()
    made = cache.read_bytes()
    cut = []
    monkeypatch.setattr(nearness, "_rows", lambda path: cut.append(path) or rows_of(path))
    monkeypatch.setattr("loopwright.verify.bands._SLICE", 1)
    assert outcome(workspace, row, asked, output="again", near_duplicate=0.9) == first
    assert not cut
    cache.write_bytes(made[:-1] + bytes([made[-1] ^ 1]))
    assert outcome(workspace, row, asked, output="damaged", near_duplicate=0.9) == first
    assert len(cut) == 1
    assert cache.read_bytes() == made
    assert first[0]["refused"] == {nearness.NEAR: 2}
