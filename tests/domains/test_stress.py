"""The stress suite of `programs`: what is in it, that it is right, and that nothing of it is ever given out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import pytest

from loopwright.domains.behaviour import PROBE, observe, pools
from loopwright.domains.operations import _BY_WORDS, Steps, _grouped, answer_of, prompt_of, run
from loopwright.domains.programs import Programs
from loopwright.domains.stress import KINDS
from loopwright.models.transformer import TinyTransformer
from loopwright.sandbox import Sandbox
from loopwright.sandbox.canary import Canaries
from loopwright.sandbox.pool import open_sandbox
from loopwright.types import Task

ASKING = ("perturbed", "out-of-range", "adversarial")
"""Kinds that ask for something."""


@pytest.fixture(scope="module")
def domain() -> Programs:
    return Programs()


@pytest.fixture(scope="module")
def stress(domain: Programs) -> Mapping[str, Sequence[Task]]:
    return domain.stress()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox("SL1", workers=2) as opened:
        yield opened


def steps_in(task: Task) -> Steps:
    return tuple(_BY_WORDS[words] for words in _grouped(task.prompt.split()))


def asking(stress: Mapping[str, Sequence[Task]]) -> list[Task]:
    return [task for kind in ASKING for task in stress[kind]]


def test_forty_a_kind_and_what_they_carry(stress: Mapping[str, Sequence[Task]]) -> None:
    assert {kind: len(tasks) for kind, tasks in stress.items()} == dict.fromkeys(KINDS, 40)
    assert len({task.id for tasks in stress.values() for task in tasks}) == 160
    assert all(task.slices == {"stress": kind} for kind, tasks in stress.items() for task in tasks)
    assert {tuple(task.checks) for task in asking(stress)} == {("stress",)}
    assert all(len(task.checks["stress"].inputs) == 8 for task in asking(stress))
    assert {tuple(task.checks) for task in stress["malformed"]} == {()}
    assert Counter(task.level for task in stress["perturbed"]) == dict.fromkeys(range(4, 9), 8)
    assert Counter(task.level for task in stress["out-of-range"]) == dict.fromkeys(range(9, 13), 10)
    assert {task.level for task in stress["adversarial"]} <= set(range(4, 9))
    assert {task.level for task in stress["malformed"]} == {0}


def test_they_depend_on_the_suite_seed_alone(stress: Mapping[str, Sequence[Task]]) -> None:
    assert Programs(human_level_3=7).stress() == stress
    other = Programs(suite_seed=1).stress()
    for kind in KINDS:
        assert {task.prompt for task in other[kind]} != {task.prompt for task in stress[kind]}


def test_what_it_asks_for_is_held_out_too_long_or_degenerate(domain: Programs, stress: Mapping[str, Sequence[Task]]) -> None:
    """So no row that is trained on can be about it, however the row is worded."""
    gate = {task.signature for task in domain.suites()["gate"]}
    assert {task.signature for task in stress["perturbed"]} <= gate
    assert {min(task.level, 9) for task in stress["out-of-range"]} == {9}
    ordinary = [task for task in stress["adversarial"] if domain._accepting(steps_in(task), frozenset())]
    assert len(ordinary) >= 10, "without the list of what is held out these are tasks like others"
    assert {task.signature for task in ordinary} <= gate
    held = [*stress["perturbed"], *stress["adversarial"]]
    assert all(domain._accepting(steps_in(task), frozenset(gate)) is None for task in held)


def test_no_input_of_a_suite_is_in_it(stress: Mapping[str, Sequence[Task]]) -> None:
    known = {tuple(values) for name, lists in pools(0).items() if name != "stress" for values in lists}
    known |= {tuple(values) for values in PROBE}
    assert not known & {tuple(values) for task in asking(stress) for values in task.checks["stress"].inputs}


def test_expected_values_come_from_the_words(stress: Mapping[str, Sequence[Task]]) -> None:
    for task in asking(stress):
        check, steps = task.checks["stress"], steps_in(task)
        assert len(steps) == task.level
        assert check.outputs == tuple(run(steps, values) for values in check.inputs), task.prompt
        assert max(len(output) for output in check.outputs) <= 100


def test_each_kind_is_what_it_is_called(stress: Mapping[str, Sequence[Task]]) -> None:
    for task in stress["perturbed"]:
        assert task.prompt != prompt_of(steps_in(task))
        assert task.prompt.split() == prompt_of(steps_in(task)).split(" ")
        assert observe(steps_in(task)) is not None
    for task in stress["out-of-range"]:
        assert observe(steps_in(task)) is not None, "no operation too many"
    for task in stress["adversarial"]:
        steps = steps_in(task)
        parts = [steps[:a] + steps[b:] for a in range(len(steps)) for b in range(a + 1, len(steps) + 1)]
        lists = (*PROBE, *task.checks["stress"].inputs)
        same = [part for part in parts if all(run(part, values) == run(steps, values) for values in lists)]
        assert same, f"{task.prompt}: nothing is needless"
        assert any(run(steps, values) != values for values in lists), "an empty answer is wrong"
    eights = [task.prompt for task in stress["adversarial"] if len(set(task.prompt.split(" "))) == 1]
    assert {len(prompt.split(" ")) for prompt in eights} == {8}
    joined = [f" {task.prompt} " for task in stress["adversarial"]]
    for piece in ("rev rev", "neg neg"):
        assert any(f" {piece} " in prompt for prompt in joined)


def test_nothing_of_it_is_given_out(domain: Programs, stress: Mapping[str, Sequence[Task]]) -> None:
    held = frozenset(task.signature for suite in domain.suites().values() for task in suite)
    given = [task for task, _ in domain.human(3, held)]
    given += domain.tasks(3, 1500, {}, held) + domain.tasks(4, 1500, {4: 1.0}, held)
    wordings = {" ".join(task.prompt.split()) for tasks in stress.values() for task in tasks}
    assert not wordings & {task.prompt for task in given}


def test_other_spacing_more_operations_and_no_task_are_not_stated(
    domain: Programs, stress: Mapping[str, Sequence[Task]]
) -> None:
    for task in (*stress["perturbed"], *stress["out-of-range"], *stress["malformed"]):
        with pytest.raises(ValueError, match=r"operation|degenerate"):
            domain.task(task.prompt)


def test_a_small_gate_suite_gives_a_smaller_stress_suite() -> None:
    small = Programs(suite_per_level=2).stress()
    assert {kind: len(tasks) for kind, tasks in small.items()}["perturbed"] == 10
    assert all(small[kind] for kind in KINDS)


def test_right_answers_pass_and_others_fail(domain: Programs, stress: Mapping[str, Sequence[Task]], sandbox: Sandbox) -> None:
    tasks = asking(stress)
    right = [(task, answer_of(steps_in(task))) for task in tasks]
    assert {verdict.status for verdict in domain.judge(right, ("stress",), sandbox)} == {"PASS"}
    for wrong in ("", "x=x+[7]"):
        assert {verdict.status for verdict in domain.judge([(task, wrong) for task in tasks], ("stress",), sandbox)} == {"FAIL"}


def test_a_watched_domain_has_it_too(domain: Programs, stress: Mapping[str, Sequence[Task]]) -> None:
    from loopwright.domains.watched import WatchedDomain

    watched = WatchedDomain(domain, Canaries(every=100, seed=0))
    assert watched.stress() == stress


def test_no_prompt_of_it_breaks_the_model(domain: Programs, stress: Mapping[str, Sequence[Task]]) -> None:
    family = TinyTransformer()
    model = family.create(domain.alphabet(), 0)
    prompts = [task.prompt for task in asking(stress)]
    assert len(family.sample(model, prompts, [0] * len(prompts), 0.0, 16)) == len(prompts)
    strange = [task.prompt for task in stress["malformed"] if set(task.prompt.split()) - {*domain.alphabet().words}]
    assert 0 < len(strange) < len(stress["malformed"]), "some are strange to the codec, the others only to the domain"
    for task in stress["malformed"]:
        if task.prompt in strange:
            with pytest.raises(ValueError, match="which the alphabet lacks"):
                family.sample(model, [task.prompt], [0], 0.0, 4)
        else:
            assert len(family.sample(model, [task.prompt], [0], 0.0, 4)) == 1


def test_the_family_sees_perturbed_prompts_as_they_are_meant(domain: Programs, stress: Mapping[str, Sequence[Task]]) -> None:
    codec = TinyTransformer().create(domain.alphabet(), 0).codec
    for task in stress["perturbed"]:
        assert codec.prompt(task.prompt) == codec.prompt(prompt_of(steps_in(task)))
    longest = max(len(codec.answer(answer_of(steps_in(task)))) for task in asking(stress))
    assert longest <= 128, "an evaluation that stops writing earlier judges its own limit"
