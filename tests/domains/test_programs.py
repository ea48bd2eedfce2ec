"""Domain `programs`: frozen suites, disjoint behaviours and inputs, tasks that count, and answers judged for real."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

import pytest

from loopwright.domains import behaviour
from loopwright.domains.behaviour import POOLS, PROBE, observe, pools
from loopwright.domains.operations import STEPS, answer_of, run, steps_of
from loopwright.domains.programs import Programs
from loopwright.plugins import load_domain
from loopwright.sandbox import Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.types import Check, Task

ACCEPTING = ("visible", "hidden")


@pytest.fixture(scope="module")
def domain() -> Programs:
    return Programs()


@pytest.fixture(scope="module")
def held(domain: Programs) -> frozenset[str]:
    return frozenset(task.signature for suite in domain.suites().values() for task in suite)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox("SL1", workers=2) as opened:
        yield opened


def test_suites_have_power_and_strata(domain: Programs) -> None:
    suites = domain.suites()
    assert list(suites) == ["gate", "sealed"]
    for name, suite in suites.items():
        assert Counter(task.level for task in suite) == dict.fromkeys(range(2, 9), 58)
        assert {tuple(task.checks) for task in suite} == {(name,)}
        assert {len(task.checks[name].inputs) for task in suite} == {POOLS[name]}
        assert {task.level for task in suite if task.slices["operation"] != task.prompt.split(" ")[0]} == set()


def test_no_behaviour_is_held_out_twice(domain: Programs, held: frozenset[str]) -> None:
    assert len(held) == 2 * 7 * 58
    ids = {task.id for suite in domain.suites().values() for task in suite}
    assert len(ids) == 2 * 7 * 58


def test_no_suite_task_is_a_short_one_in_disguise(domain: Programs) -> None:
    known = {tuple(map(tuple, outputs)): 1 for step in STEPS if (outputs := observe((step,)))}
    for steps in product(STEPS, repeat=2):
        if outputs := observe(steps):
            known.setdefault(tuple(map(tuple, outputs)), 2)
    for task in (task for suite in domain.suites().values() for task in suite):
        outputs = observe(steps_of(task.prompt))
        assert outputs is not None
        assert known.get(tuple(map(tuple, outputs)), task.level) == task.level


@pytest.mark.parametrize("seed", range(3))
def test_the_pools_of_inputs_have_nothing_in_common(seed: int) -> None:
    named = {"probe": PROBE, **pools(seed)}
    assert {name: len(lists) for name, lists in named.items()} == {"probe": 12, **POOLS}
    for first, second in combinations(named.values(), 2):
        assert not {tuple(values) for values in first} & {tuple(values) for values in second}
    assert all(len({tuple(values) for values in lists}) == len(lists) for lists in named.values())


def test_pools_leave_out_what_is_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = pools(0)["gate"][0]
    monkeypatch.setattr(behaviour, "PROBE", (drawn,))
    fresh = behaviour.pools.__wrapped__(0)
    assert drawn in pools(0)["gate"]
    assert all(drawn not in lists for lists in fresh.values())


def test_suites_catch_every_answer_that_leaves_out_an_operation(domain: Programs) -> None:
    for name, suite in domain.suites().items():
        for task in suite:
            steps, check = steps_of(task.prompt), task.checks[name]
            for index in range(len(steps)):
                shorter = steps[:index] + steps[index + 1 :]
                assert tuple(run(shorter, values) for values in check.inputs) != check.outputs, task.prompt


def test_expected_values_come_from_the_task(domain: Programs) -> None:
    for task in domain.suites()["sealed"]:
        check = task.checks["sealed"]
        assert check.outputs == tuple(run(steps_of(task.prompt), values) for values in check.inputs)


def test_human_rows(domain: Programs, held: frozenset[str]) -> None:
    rows = domain.human(0, held)
    assert Counter(task.level for task, _ in rows) == {1: 28, 2: 400, 3: 1600}  # mul 1 does nothing
    assert len({task.prompt for task, _ in rows}) == len(rows)
    assert not {task.signature for task, _ in rows} & held
    assert all(answer == answer_of(steps_of(task.prompt)) for task, answer in rows)
    assert {tuple(task.checks) for task, _ in rows} == {ACCEPTING}
    assert [task.id for task, _ in domain.human(1, held)] != [task.id for task, _ in rows]


def test_new_tasks(domain: Programs, held: frozenset[str]) -> None:
    tasks = domain.tasks(7, 600, {}, held)
    assert Counter(task.level for task in tasks) == dict.fromkeys(range(4, 9), 120)
    signatures = {task.signature for task in tasks}
    assert len(signatures) == 600
    assert not signatures & held
    assert {tuple(task.checks) for task in tasks} == {ACCEPTING}
    assert domain.tasks(7, 600, {}, held) == tasks
    again = domain.tasks(7, 600, {}, held | signatures)
    assert not signatures & {task.signature for task in again}


def test_new_tasks_differ_even_where_there_are_few(domain: Programs) -> None:
    tasks = domain.tasks(7, 400, {2: 1.0}, frozenset())
    assert len({task.signature for task in tasks}) == 400


def test_weights_are_shares(domain: Programs) -> None:
    tasks = domain.tasks(1, 100, {4: 2.0, 6: 1.0, 5: 1.0, 8: 0.0}, frozenset())
    assert Counter(task.level for task in tasks) == {4: 50, 5: 25, 6: 25}
    assert len(domain.tasks(1, 7, {4: 1, 5: 1, 6: 1}, frozenset())) == 7
    assert domain.tasks(1, 0, {}, frozenset()) == []


@pytest.mark.parametrize("weights", [{4: -1.0, 5: 2.0}, {4: math.nan}, {4: math.inf}, {4: 0.0}, {9: 1.0}, {0: 1.0}])
def test_weights_that_make_no_sense(domain: Programs, weights: dict[int, float]) -> None:
    with pytest.raises(ValueError, match="weights must|no level"):
        domain.tasks(1, 3, weights, frozenset())


def test_a_level_can_run_out(domain: Programs) -> None:
    with pytest.raises(ValueError, match="level 1 has no more"):
        domain.tasks(1, 40, {1: 1.0}, frozenset())


def test_a_prompt_states_its_task(domain: Programs, held: frozenset[str]) -> None:
    for task in domain.tasks(3, 20, {}, held):
        assert domain.task(task.prompt) == task
    for task, _ in domain.human(3, held)[::100]:
        assert domain.task(task.prompt) == task
    gate = domain.suites()["gate"][0]
    assert domain.task(gate.prompt).signature == gate.signature  # whoever refuses by signature refuses this


@pytest.mark.parametrize(
    "prompt",
    [
        "mul 1",  # does nothing
        "rev rev",  # nothing either, though each half does something
        "sort rev",  # the second half is idle
        "sort add 1 rev",
        "drop 3 cut 3 drop 3",  # too little is left
        "sq sq sq sq",  # too large
        "dbl dbl dbl dbl",  # too long
        "even odd",  # empty
    ],
)
def test_degenerate_prompts_state_no_task(domain: Programs, prompt: str) -> None:
    with pytest.raises(ValueError, match="degenerate"):
        domain.task(prompt)


@pytest.mark.parametrize(
    ("prompt", "counts"),
    [
        ("rev", True),
        ("sort add 2", True),
        ("sort rev", False),
        ("sort add 1 rev", False),
        ("rev rev", False),
        ("even odd", False),
    ],
)
def test_the_probes_alone_tell_what_counts(prompt: str, counts: bool) -> None:
    assert (observe(steps_of(prompt)) is not None) is counts


def test_suites_are_fixed_by_their_own_seed() -> None:
    first, second = Programs(suite_per_level=4).suites(), Programs(suite_per_level=4).suites()
    other = Programs(suite_seed=1, suite_per_level=4).suites()
    assert first == second
    assert first["gate"] != other["gate"]
    assert first["gate"][0].checks["gate"].inputs != other["gate"][0].checks["gate"].inputs


FINGERPRINT = """
from loopwright.domains.programs import Programs
from loopwright.types import digest_value
domain = Programs(suite_per_level=6, human_level_2=30, human_level_3=30)
suites = domain.suites()
held = frozenset(task.signature for suite in suites.values() for task in suite)
tasks = [*suites["gate"], *suites["sealed"], *(task for task, _ in domain.human(5, held)), *domain.tasks(5, 40, {}, held)]
print(digest_value([[task.id, task.signature, task.prompt] for task in tasks]))
"""


def test_same_tasks_in_every_process() -> None:
    seen = {
        subprocess.run(
            [sys.executable, "-c", FINGERPRINT], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
    # Frozen: another digest here means other suites for every workspace, and another meaning of their scores.
    assert seen == {"sha256:1204532d033dd63c522f18ee40b58671bd76a089536b5a798fd1945216915cc2\n"}


def test_ids_go_by_content(domain: Programs) -> None:
    task = domain.task("rev")
    assert len(task.id) == 16
    assert task.id != Programs(suite_seed=1).task("rev").id  # other test inputs
    assert task.signature == Programs(suite_seed=1).task("rev").signature  # the same behaviour
    assert domain.task("add 1 add 2").signature == domain.task("add 3").signature


def test_the_alphabet(domain: Programs) -> None:
    alphabet = domain.alphabet()
    assert len({*alphabet.words, *alphabet.lexemes}) == 49  # and the codec's own marks


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"suite_per_level": 0}, ValueError),
        ({"suite_per_level": 1000}, ValueError),
        ({"suite_seed": -1}, ValueError),
        ({"suite_seed": True}, TypeError),
        ({"human_level_2": "400"}, TypeError),
        ({"human_level_3": 1.5}, TypeError),
        ({"levels": 3}, TypeError),
    ],
)
def test_wrong_settings(settings: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(settings))):
        Programs(**settings)


def test_it_comes_through_the_entry_point() -> None:
    assert load_domain("programs", {"suite_per_level": 5}) == Programs(suite_per_level=5)


# ------------------------------------------------------------------------------------------------------- judging


def statuses(domain: Programs, sandbox: Sandbox, pairs: list[tuple[Task, str]], purposes: tuple[str, ...]) -> list[str]:
    return [verdict.status for verdict in domain.judge(pairs, purposes, sandbox)]


def test_reference_answers_pass_and_shortened_ones_fail(domain: Programs, sandbox: Sandbox) -> None:
    gate = domain.suites()["gate"]
    right = [(task, answer_of(steps_of(task.prompt))) for task in gate]
    assert set(statuses(domain, sandbox, right, ("gate",))) == {"PASS"}
    shortened = [(task, "\n".join(answer.split("\n")[:-1])) for task, answer in right[::4]]
    assert set(statuses(domain, sandbox, shortened, ("gate",))) == {"FAIL"}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("x=x[::-1]", "PASS"),
        ("x=list(reversed(x))", "PASS"),
        ("x.reverse()", "PASS"),
        ("return x[::-1]", "PASS"),  # real Python, as it stands
        ("x=x[::-1]\n\n\n", "PASS"),
        ("", "FAIL"),
        ("x=x", "FAIL"),
        ("x=tuple(x[::-1])", "BAD_OUTPUT"),
        ("x=x[::-1", "LOAD_ERROR"),
        (" x=x[::-1]", "LOAD_ERROR"),
        ("x=x[::-1]\nreturn 1", "FAIL"),
        ("pass\ndef f(x): return x[::-1]\nx=f(x)", "PASS"),
        ("return x[::-1]\n\ndef g(x):", "LOAD_ERROR"),
        ("x=y", "FAIL"),
        ("x=x[::-1]\0", "LOAD_ERROR"),
        ("x=x[::-1]\ud800", "LOAD_ERROR"),
    ],
)
def test_answers_are_judged_as_they_stand(domain: Programs, sandbox: Sandbox, answer: str, status: str) -> None:
    assert statuses(domain, sandbox, [(domain.task("rev"), answer)], ACCEPTING) == [status]


def test_the_reason_names_the_purpose_that_failed(domain: Programs, sandbox: Sandbox) -> None:
    task = domain.task("rev")
    by_heart = {repr(given): wanted for given, wanted in zip(*vars_of(task, "visible"), strict=True)}
    verdicts = domain.judge([(task, f"x={by_heart!r}.get(repr(x),x)"), (task, "x=x")], ACCEPTING, sandbox)
    assert [(verdict.status, verdict.reason) for verdict in verdicts] == [
        ("FAIL", "hidden check 0"),
        ("FAIL", "visible check 0"),
    ]
    assert {verdict.level for verdict in verdicts} == {sandbox.level}


def vars_of(task: Task, purpose: str) -> tuple[tuple[object, ...], tuple[object, ...]]:
    return task.checks[purpose].inputs, task.checks[purpose].outputs


def test_equal_answers_run_once(domain: Programs, sandbox: Sandbox) -> None:
    task, other = domain.task("rev"), domain.task("neg")
    seen: list[tuple[int, int, str]] = []
    pairs = [(task, "x=x[::-1]"), (other, "x=x[::-1]"), (task, "x=x[::-1]"), (task, "x=x")]
    verdicts = domain.judge(pairs, ACCEPTING, sandbox, lambda *step: seen.append(step))
    assert [verdict.status for verdict in verdicts] == ["PASS", "FAIL", "PASS", "FAIL"]
    assert seen[-1] == (3, 3, "answers")


def test_checks_that_went_through_json_judge_alike(domain: Programs, sandbox: Sandbox) -> None:
    task = domain.task("sort neg")
    plain = json.loads(json.dumps({name: [check.inputs, check.outputs] for name, check in task.checks.items()}))
    read = replace(task, checks={name: Check(inputs=tuple(a), outputs=tuple(b)) for name, (a, b) in plain.items()})
    pairs = [(read, answer_of(steps_of(task.prompt))), (read, "x=sorted(x)")]
    assert statuses(domain, sandbox, pairs, ACCEPTING) == ["PASS", "FAIL"]
