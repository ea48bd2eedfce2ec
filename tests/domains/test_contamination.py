"""Suite text in a row: found in prompt and answer, whatever its dress; never readable; and the built-in domain's rows are free of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.domains.contamination import contaminated, rows_of
from loopwright.domains.programs import Programs
from loopwright.domains.reasoning import ReasoningGym
from loopwright.types import Check, Task

WORDS = [f"w{number}" for number in range(20)]


def a_task(prompt: str, *outputs: object) -> Task:
    check = Check(inputs=(0,) * len(outputs), outputs=outputs)
    return Task(id="1", prompt=prompt, level=1, signature="s", checks={"gate": check}, slices={})


def held(*tasks: Task) -> dict[str, str]:
    return {row["gram"]: row["suite"] for row in rows_of({"gate": tasks, "sealed": []})}


LONG = held(a_task(" ".join(WORDS)))


@pytest.mark.parametrize(
    ("prompt", "answer", "found"),
    [
        ("x", " ".join(WORDS[:13]), True),
        (f"see: {' '.join(WORDS[7:])}", "y", True),
        (" ".join(WORDS).upper().replace(" ", ",\n"), "y", True),
        ("x", " ".join(WORDS[:12]), False),
        (" ".join(WORDS[:12]), " ".join(WORDS[12:]), False),
        (" ".join(WORDS[::-1]), "y", False),
    ],
)
def test_thirteen_words_are_a_copy_and_twelve_are_not(prompt: str, answer: str, found: bool) -> None:
    assert contaminated(prompt, answer, LONG) == ("gate" if found else None)


def test_a_short_prompt_counts_as_a_whole_and_as_a_prompt_alone() -> None:
    short = held(a_task("sort add 1"))
    assert contaminated(" Sort  add\n1", "x", short) == "gate"
    assert contaminated("rev sort add 1", "x", short) is None
    assert contaminated("rev", "sort add 1", short) is None


def test_expected_text_counts_where_it_is_long() -> None:
    long = held(a_task("q", " ".join(WORDS), 7, "short"))
    assert contaminated("x", " ".join(WORDS[3:17]), long) == "gate"
    assert contaminated("short", "short", long) is None


def test_nothing_of_a_suite_can_be_read_and_its_own_prompts_are_known() -> None:
    suites = Programs(suite_per_level=5).suites()
    rows = rows_of(suites)
    known = {row["gram"]: row["suite"] for row in rows}
    assert all(set(row["gram"]) <= set("0123456789abcdef") and len(row["gram"]) == 32 for row in rows)
    for tasks in suites.values():
        assert all(contaminated(task.prompt, "", known) for task in tasks)


def test_human_rows_of_the_built_in_domain_are_free_of_it() -> None:
    domain = Programs()
    suites = domain.suites()
    known = {row["gram"]: row["suite"] for row in rows_of(suites)}
    refused = frozenset(task.signature for tasks in suites.values() for task in tasks)
    assert not [task.prompt for task, answer in domain.human(0, refused) if contaminated(task.prompt, answer, known)]


@given(st.text(), st.text())
def test_any_text_may_be_asked(prompt: str, answer: str) -> None:
    assert contaminated(prompt, answer, {}) is None
    assert contaminated(prompt, answer, held(a_task(prompt))) == "gate"


def test_what_all_prompts_share_is_nobodys_text() -> None:
    """A template of many words, with room for few: another question in it is another question."""
    template = (
        "Here is a long and friendly introduction of well over thirteen words, then the numbers {} and that was all of it."
    )
    suite = held(*(a_task(template.format(number)) for number in range(5)))
    assert contaminated(template.format(7), "x", suite) is None
    assert contaminated(template.format(3), "x", suite) == "gate"


def test_signs_make_another_question() -> None:
    suite = held(a_task("3 + 4"))
    assert contaminated("3 - 4", "x", suite) is None
    assert contaminated("3 + 4", "x", suite) == "gate"


def test_new_puzzles_are_free_of_it() -> None:
    domain = ReasoningGym(entries=60)
    suites = domain.suites()
    known = {row["gram"]: row["suite"] for row in rows_of(suites)}
    refused = frozenset(task.signature for tasks in suites.values() for task in tasks)
    assert not [
        task for task in domain.tasks(1, 40, {}, refused) if contaminated(task.prompt, task.checks["hidden"].outputs[0], known)
    ]
