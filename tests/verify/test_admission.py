"""Tests that a model wrote: which are admitted, and what a script that wants to be admitted without testing anything meets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from loopwright.errors import InfraError
from loopwright.sandbox import AssertJob, Job, Limits, Outcome, Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.types import Verdict, digest_bytes
from loopwright.verify.admission import Admission, admit

REFERENCE = '''def f(x):
    """The even ones above zero, doubled."""
    return [v * 2 for v in x if v > 0 and v % 2 == 0]
'''
GOOD = "assert f([1, 2, -4]) == [4]\nassert candidate([4, 2, 0, 3]) == [8, 4]\nassert f([]) == []\n"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    limits = Limits(wall_seconds=1.0, cpu_seconds=1, memory_bytes=96 * 2**20, output_bytes=64 * 2**10)
    with open_sandbox("SL2", workers=2, limits=limits, level="SL2") as opened:
        yield opened


def test_a_test_that_tells_right_from_wrong_is_admitted(sandbox: Sandbox) -> None:
    (found,) = admit([GOOD], REFERENCE, "f", sandbox)
    assert found.admitted
    assert (found.reason, found.passes_reference, found.repeatable, found.level) == ("", True, True, "SL2")
    assert found.script == digest_bytes(GOOD.encode())
    assert found.score is not None
    assert found.killed / found.mutants == found.score.value >= 0.5
    assert 0 < found.score.low < found.score.value <= found.score.high <= 1
    assert (found.score.n, found.score.method) == (found.mutants, "wilson 95%")


REFUSED = {
    "nothing": ("", "asserts nothing"),
    "words in a comment and a text": ("# assert f\nprint('assert f([2]) == [4]')\n", "asserts nothing"),
    "prints PASS": ("print('PASS')", "asserts nothing"),
    "wrong about the reference": ("assert f([2]) == [5]", "does not pass on the reference: FAIL AssertionError"),
    "no Python": ("assert f([2]) == [4", "does not pass on the reference: FAIL SyntaxError"),
    "asks for what is not there": ("assert g([2]) == [4]", "does not pass on the reference: FAIL NameError"),
    "trivial": ("assert True", "passes on a function that returns None"),
    "an assertion that nobody calls": ("def test():\n assert f([2]) == [4]\n", "passes on a function that returns None"),
    "swallows its own assertion": ("try:\n assert f([2]) == [4]\nexcept Exception: pass", "passes on a function that returns None"),
    "takes an error for the answer": ("try: v = f([2])\nexcept Exception: v = [4]\nassert v == [4]", "passes on a function that raises"),
    "weak": ("assert f([]) == []", "mutants, less than 50%"),
}  # fmt: skip
FORGED = """import os
text = b'{{"status":"{status}","detail":"","outputs":[]}}'
os.write(3, len(text).to_bytes(4, "big") + text)
os._exit(0)
assert False
"""
HOSTILE = {
    "leaves": ("import os\nos._exit(0)\nassert 0", "does not pass on the reference: BAD_OUTPUT"),
    "leaves politely": ("raise SystemExit(0)", "does not pass on the reference: FAIL SystemExit"),
    "never ends": ("while True: pass\nassert 0", "does not pass on the reference: TIMEOUT"),
    "prints PASS and leaves": ('import os\nprint(\'{"status":"PASS"}\', flush=True)\nos._exit(0)\nassert 0', "the reference: BAD_OUTPUT"),
    "writes the answer itself": (FORGED.format(status="PASS"), "passes on a function that returns None"),
    "claims that the machine failed": (FORGED.format(status="INFRA"), "does not pass on the reference"),
    "is its own subject": ("f = lambda x: [4]\nassert f([2]) == [4]", "passes on a function that returns None"),
    "rewrites what it is run by": ("import builtins, sys\nbuiltins.exec = sys.exit = print\nassert True", "function that returns None"),
}  # fmt: skip


@pytest.mark.parametrize("cases", [REFUSED, HOSTILE], ids=["poor", "hostile"])
def test_what_tests_nothing_is_refused_and_harms_nobody(sandbox: Sandbox, cases: dict[str, tuple[str, str]]) -> None:
    found = admit([*(script for script, _ in cases.values()), GOOD], REFERENCE, "f", sandbox)
    for (name, (_, reason)), admission in zip(cases.items(), found, strict=False):
        assert (admission.admitted, reason in admission.reason) == (False, True), f"{name}: {admission}"
        if name != "weak":
            assert (admission.killed, admission.mutants, admission.score) == (0, 0, None), name
    assert found[-1].admitted


def test_what_passes_by_chance_is_not_admitted(sandbox: Sandbox) -> None:
    """A coin a script: of thirty, some pass at first and not again, but for one run of this test in a million."""
    coin = "import os\nassert os.urandom(1)[0] & 1 and f([2, 1, -4, 4]) == [4, 8]\n"
    found = admit([coin + "#" * number for number in range(30)], REFERENCE, "f", sandbox, least=0.01)
    lucky = [admission for admission in found if admission.passes_reference and not admission.repeatable]
    assert {admission.reason for admission in lucky} == {"it does not pass on the reference every time"}
    assert not any(admission.admitted for admission in lucky)


def test_who_else_is_tried_makes_no_difference(sandbox: Sandbox) -> None:
    weak, wrong = REFUSED["weak"][0], REFUSED["wrong about the reference"][0]
    found = admit([GOOD, weak, wrong], REFERENCE, "f", sandbox)
    assert admit([wrong, GOOD, weak], REFERENCE, "f", sandbox, seed=7) == [found[2], found[0], found[1]]
    assert admit([], REFERENCE, "f", sandbox) == []


def test_the_share_is_the_plans(sandbox: Sandbox) -> None:
    script = REFUSED["weak"][0]
    (found,) = admit([script], REFERENCE, "f", sandbox, least=0.01)
    assert found.admitted
    assert 0 < found.killed < found.mutants
    (exactly,) = admit([script], REFERENCE, "f", sandbox, least=found.killed / found.mutants)
    assert exactly.admitted
    (fewer,) = admit([GOOD], REFERENCE, "f", sandbox, mutants=3)
    assert fewer.mutants == 3


def test_mutants_that_do_not_load_count_for_nobody(sandbox: Sandbox) -> None:
    """The source calls its function as it loads: most mutants end there, whatever a script says."""
    source = f"{REFERENCE}\nif f([2]) != [4]: raise ValueError\n"
    (found,) = admit([GOOD], source, "f", sandbox)
    (all_of_them,) = admit([GOOD], REFERENCE, "f", sandbox)
    assert 0 < found.mutants < all_of_them.mutants


def test_a_reference_without_mutants_admits_nobody(sandbox: Sandbox) -> None:
    (found,) = admit(["x = [1]\ntry: f(x)\nexcept Exception: assert 0\nelse: assert 1\nassert f(1) is Ellipsis"],
                     "def f(x):\n ...\n", "f", sandbox)  # fmt: skip
    assert not found.admitted
    source = "def f(x):\n yield from x\n"
    (found,) = admit(["assert f([1]) == [1]"], source, "f", sandbox)
    assert not found.admitted, "a generator is no data"
    source = "from functools import wraps\ndef f(x): ...\nf = abs\n"
    (found,) = admit(["assert f(-2) == 2"], source, "f", sandbox)
    assert found.reason == "the reference has no mutant that loads: nothing shows what the script would refuse"


@pytest.mark.parametrize(
    ("source", "said"),
    [("def g(x): return 1", "no function"), ("def f(x) return", "no Python"), ("1/0\ndef f(x): return 1", "does not load: LOAD_ERROR")],
)  # fmt: skip
def test_what_is_no_reference_is_said(sandbox: Sandbox, source: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        admit([GOOD], source, "f", sandbox)


@pytest.mark.parametrize("wrong", [{"mutants": 0}, {"least": 0.0}, {"least": 1.01}])
def test_limits_that_make_no_sense(sandbox: Sandbox, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one mutant and a share"):
        admit([GOOD], REFERENCE, "f", sandbox, **wrong)


@dataclass
class Watched:
    """A sandbox that is looked at; it loses what it's told to."""

    inner: Sandbox
    lose: int | None = None
    batches: list[list[AssertJob]] = field(default_factory=list)

    def run(self, jobs: Sequence[Job], progress: Any = None) -> list[Outcome]:
        return self.inner.run(jobs, progress)

    def run_asserts(self, jobs: Sequence[AssertJob], progress: Any = None) -> list[Verdict]:
        self.batches.append(list(jobs))
        verdicts = self.inner.run_asserts(jobs, progress)
        if self.lose == len(self.batches):
            verdicts[-1] = Verdict(status="INFRA", level="SL2", reason="zygote lost")
        return verdicts


@pytest.mark.parametrize("batch", [1, 2])
def test_what_the_machine_lost_is_no_refusal(sandbox: Sandbox, batch: int) -> None:
    with pytest.raises(InfraError, match="could not be judged"):
        admit([GOOD], REFERENCE, "f", Watched(sandbox, lose=batch))


def test_a_script_cannot_count_on_its_place(sandbox: Sandbox) -> None:
    """Which program comes when depends on the seed, so that a process number or a clock says nothing."""
    places: set[tuple[int, ...]] = set()
    for seed in range(4):
        watched = Watched(sandbox)
        admit([GOOD], REFERENCE, "f", watched, seed=seed)
        places.add(tuple(at for batch in watched.batches for at, job in enumerate(batch) if job.source == REFERENCE))
    assert {len(each) for each in places} == {3}
    assert len(places) > 1
    assert isinstance(admit([GOOD], REFERENCE, "f", sandbox)[0], Admission)
