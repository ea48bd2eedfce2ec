"""Domain `reasoning-gym`: tasks that nobody here wrote, judged as text, never executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from loopwright.domains.reasoning import ReasoningGym
from loopwright.errors import InfraError
from loopwright.plugins import load_domain
from loopwright.sandbox import Job, Outcome
from loopwright.types import Check, Level, Progress, Task

ACCEPTING = ("visible", "hidden")


class Untouched:
    """A sandbox that nobody may use."""

    level: Level = "SL0"

    def run(self, jobs: Sequence[Job], progress: Progress | None = None) -> list[Outcome]:
        raise AssertionError("something was executed")

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def domain() -> ReasoningGym:
    return ReasoningGym(suite_per_level=5, human_per_level=20, entries=200)


@pytest.fixture(scope="module")
def held(domain: ReasoningGym) -> frozenset[str]:
    return frozenset(task.signature for suite in domain.suites().values() for task in suite)


def test_suites(domain: ReasoningGym, held: frozenset[str]) -> None:
    suites = domain.suites()
    assert len(held) == 2 * 4 * 5
    for name, suite in suites.items():
        assert Counter(task.level for task in suite) == dict.fromkeys(range(1, 5), 5)
        assert {tuple(task.checks) for task in suite} == {(name,)}
    assert ReasoningGym(suite_per_level=5, human_per_level=20, entries=200).suites() == suites
    assert ReasoningGym(suite_per_level=5, suite_seed=1, entries=200).suites() != suites


def test_human_rows_and_new_tasks_keep_away_from_the_suites(domain: ReasoningGym, held: frozenset[str]) -> None:
    rows = domain.human(0, held)
    assert Counter(task.level for task, _ in rows) == {1: 20, 2: 20}
    tasks = domain.tasks(0, 80, {}, held)
    assert Counter(task.level for task in tasks) == dict.fromkeys(range(1, 5), 20)
    assert len({task.signature for task in tasks}) == 80
    assert not held & {task.signature for task in (*tasks, *(task for task, _ in rows))}
    assert domain.tasks(0, 80, {}, held) == tasks
    assert domain.tasks(1, 80, {}, held) != tasks


def test_right_answers_pass_and_others_fail(domain: ReasoningGym, held: frozenset[str]) -> None:
    rows = list(domain.human(0, held))
    assert {(verdict.status, verdict.level) for verdict in domain.judge(rows, ACCEPTING, Untouched())} == {("PASS", "data")}
    task, answer = rows[0]
    wrong = ["", answer + answer, answer[:-1], f"{answer} ", "__import__('os')._exit(1)"]
    verdicts = domain.judge([(task, text) for text in wrong], ACCEPTING, Untouched())
    assert {(verdict.status, verdict.reason) for verdict in verdicts} == {("FAIL", "visible check 0")}


def test_a_prompt_states_its_task(domain: ReasoningGym, held: frozenset[str]) -> None:
    for task in domain.tasks(2, 40, {}, held):
        assert domain.task(task.prompt) == task
    with pytest.raises(ValueError, match="no accepting entry"):
        domain.task("Spell this word backward (example: sun -> nus): nowordatall")


def test_everything_can_be_spelt(domain: ReasoningGym, held: frozenset[str]) -> None:
    pieces = set(domain.alphabet().lexemes)
    for task, answer in domain.human(0, held):
        assert set(task.prompt + answer) <= pieces
        assert len(task.prompt) < 64
        assert len(answer) < 8


def test_an_entry_that_changed_is_no_verdict(domain: ReasoningGym, held: frozenset[str]) -> None:
    task, answer = domain.human(0, held)[0]
    check = task.checks["visible"]
    moved = Check(inputs=({"level": 1, "index": check.inputs[0]["index"] + 1},), outputs=check.outputs)
    other = Task(id=task.id, prompt=task.prompt, level=1, signature=task.signature, checks={"visible": moved}, slices={})
    with pytest.raises(InfraError, match="not what it was"):
        domain.judge([(other, answer)], ("visible",), Untouched())


def test_other_data_sets(held: frozenset[str]) -> None:
    domain = ReasoningGym(
        dataset="count_bits", levels={"1": {"max_n": 15}, "2": {"max_n": 10_000}}, entries=50, suite_per_level=2
    )
    rows = list(domain.human(0, held))
    assert {verdict.status for verdict in domain.judge(rows, ACCEPTING, Untouched())} == {"PASS"}
    assert {task.level for task, _ in rows} == {1, 2}


SETS = {
    "aiw": {}, "basic_arithmetic": {}, "caesar_cipher": {}, "chain_sum": {"equality": True}, "complex_arithmetic": {"equality": True},
    "count_bits": {}, "gcd": {}, "letter_counting": {}, "manipulate_matrix": {"equality": True}, "number_sequence": {},
    "syllogism": {}, "time_intervals": {"equality": True}, "word_sorting": {"equality": True},
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_any_data_set_is_a_sound_domain(name: str) -> None:
    """Suites apart from all else, right answers pass, others do not, and a prompt is enough to find the task again."""
    domain = ReasoningGym(dataset=name, entries=60, suite_per_level=5, human_per_level=10, **SETS[name])
    suites = domain.suites()
    held = frozenset(task.signature for suite in suites.values() for task in suite)
    assert {name: len(suite) for name, suite in suites.items()} == {"gate": 5, "sealed": 5}
    assert len(held) == 10
    rows, tasks = list(domain.human(0, held)), domain.tasks(0, 20, {}, held)
    assert (len(rows), len({task.signature for task in tasks})) == (10, 20)
    assert not held & {task.signature for task in (*tasks, *(task for task, _ in rows))}
    pieces = set(domain.alphabet().lexemes)
    assert all(set(task.prompt + answer) <= pieces for task, answer in rows)
    assert {verdict.status for verdict in domain.judge(rows, ACCEPTING, Untouched())} == {"PASS"}
    for change in ("{}x", "x{}", "{0} {0}", "eval('{}')"):
        wrong = [(task, change.format(answer)) for task, answer in rows]
        assert {verdict.status for verdict in domain.judge(wrong, ACCEPTING, Untouched())} == {"FAIL"}
    assert [domain.task(task.prompt) for task in tasks] == list(tasks)
    again = ReasoningGym(dataset=name, entries=60, suite_per_level=5, human_per_level=10, **SETS[name])
    assert (again.suites(), again.tasks(0, 20, {}, held)) == (suites, tasks)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "no_such_thing"}, "no data set"),
        ({"dataset": "chain_sums"}, "did you mean chain_sum"),
        ({"dataset": "list_functions"}, "some entries anew"),
        ({"dataset": "rush_hour", "equality": True}, "no answers of its own"),
        ({"dataset": "chain_sum", "equality": "yes"}, "true or false"),
        ({"dataset": "countdown", "levels": {1: {}}}, "may evaluate answers"),
        ({"levels": {1: {"min_word_len": 5, "max_word_len": 4}}}, "refuses the configuration"),
        ({"levels": {1: {"colour": "red"}}}, "refuses the configuration"),
        ({"levels": {"one": {}}}, "must map numbers"),
        ({"levels": {}}, "must map numbers"),
        ({"entries": 0}, "entries must be"),
        ({"suite_per_level": "many"}, "whole number"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        ReasoningGym(**settings)


def test_what_runs_out_says_so(domain: ReasoningGym) -> None:
    few = ReasoningGym(dataset="count_bits", levels={1: {"max_n": 3}}, entries=50, suite_per_level=2)
    with pytest.raises(ValueError, match="too few questions"):
        few.suites()
    with pytest.raises(ValueError, match="no 10 new questions"):
        few.tasks(0, 10, {}, frozenset())
    with pytest.raises(ValueError, match="no level 9"):
        domain.tasks(0, 10, {9: 1.0}, frozenset())


def test_it_comes_through_the_entry_point() -> None:
    assert load_domain("reasoning-gym", {"entries": 50}) == ReasoningGym(entries=50)


# -------------------------------------------------------------------------------------------------------- stress


def test_stress_tasks_are_asked_nowhere_else(domain: ReasoningGym, held: frozenset[str]) -> None:
    stress = domain.stress()
    assert domain.stress() == stress
    perturbed, malformed = stress["perturbed"], stress["malformed"]
    assert (len(malformed), len({task.signature for task in perturbed})) == (40, len(perturbed))
    assert len(perturbed) >= 30
    asked = {task.signature for task in (*domain.tasks(0, 400, {}, held), *(task for task, _ in domain.human(0, held)))}
    assert len(asked) >= 400
    assert not {task.signature for task in perturbed} & (held | asked)
    for task in (*perturbed, *malformed):
        for prompt in (task.prompt, task.prompt.replace("  ", " ")):
            with pytest.raises(ValueError, match="no accepting entry"):
                domain.task(prompt)


def test_perturbed_questions_are_judged_as_the_plain_ones(domain: ReasoningGym) -> None:
    tasks = domain.stress()["perturbed"]
    right = [(task, str(task.checks["stress"].outputs[0])) for task in tasks]
    assert {verdict.status for verdict in domain.judge(right, ("stress",), Untouched())} == {"PASS"}
    wrong = [(task, answer + "x") for task, answer in right]
    assert {verdict.status for verdict in domain.judge(wrong, ("stress",), Untouched())} == {"FAIL"}
    assert all("  " in task.prompt and set(task.prompt) <= {*domain.alphabet().lexemes} for task in tasks)


def test_malformed_questions_have_nothing_to_be_judged_by(domain: ReasoningGym) -> None:
    from loopwright.models.transformer import TinyTransformer

    family = TinyTransformer(width=8, layers=1, heads=1)
    model = family.create(domain.alphabet(), 0)
    for task in domain.stress()["malformed"]:
        assert (task.checks, task.level) == ({}, 0)
        if set(task.prompt) <= {*domain.alphabet().lexemes}:
            assert len(family.sample(model, [task.prompt], [0], 0.0, 2)) == 1
        else:
            with pytest.raises(ValueError, match="not made of the alphabet"):
                family.sample(model, [task.prompt], [0], 0.0, 2)
