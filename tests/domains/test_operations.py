"""Operations are known twice, as functions and as Python text; words, statements and pieces must agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.domains.operations import LEXEMES, STEPS, WORDS, Steps, answer_of, prompt_of, run, steps_of

tasks = st.lists(st.sampled_from(STEPS), min_size=1, max_size=8).map(tuple)
values = st.lists(st.integers(-9, 9), max_size=12)


def cut(answer: str) -> list[str]:
    """As a codec cuts: longest piece first; ValueError where none fits."""
    longest_first = sorted(LEXEMES, key=len, reverse=True)
    pieces = []
    while answer:
        piece = next((lexeme for lexeme in longest_first if answer.startswith(lexeme)), None)
        if piece is None:
            raise ValueError(answer)
        pieces.append(piece)
        answer = answer[len(piece) :]
    return pieces


@given(tasks, values)
def test_the_answer_does_what_the_task_says(steps: Steps, given_values: list[int]) -> None:
    scope = {"x": list(given_values)}
    exec(answer_of(steps), scope)
    assert scope["x"] == run(steps, given_values)


@given(tasks)
def test_prompts_say_it_all(steps: Steps) -> None:
    assert steps_of(prompt_of(steps)) == steps
    assert set(prompt_of(steps).split(" ")) <= set(WORDS)


@given(tasks)
def test_every_answer_can_be_spelt(steps: Steps) -> None:
    pieces = cut(answer_of(steps))
    assert len(pieces) <= 15 * len(steps) - 1  # the plan leaves 128 tokens for an answer


def test_no_piece_is_idle() -> None:
    used = {piece for first in STEPS for second in STEPS for piece in cut(answer_of((first, second)))}
    assert used == set(LEXEMES)
    assert len(LEXEMES) == len(set(LEXEMES)) == 32
    assert len(WORDS) == len(set(WORDS)) == 20


def test_operations_and_parameters() -> None:
    assert len(STEPS) == 29
    assert len({step.name for step in STEPS}) == 17
    assert answer_of(steps_of("uniq add 2 rev drop 1")) == "x=x[1:]\nx=x[::-1]\nx=[v+2 for v in x]\nx=list(dict.fromkeys(x))"


def test_an_operation_leaves_its_argument_alone() -> None:
    for step in STEPS:
        given_values = [3, -1, 2, 2, 0]
        step.apply(given_values)
        assert given_values == [3, -1, 2, 2, 0], step.words


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ",
        "rev ",
        " rev",
        "rev  sort",
        "Rev",
        "rev\n",
        "add",
        "add 4",
        "add 0",
        "add rev",
        "rev 1",
        "1",
        "add 1 2",
        "x=x",
        "add \u0661",
    ],
)
def test_what_is_no_prompt(prompt: str) -> None:
    with pytest.raises(ValueError, match="no operation"):
        steps_of(prompt)


def test_nine_operations_are_too_many() -> None:
    with pytest.raises(ValueError, match="9 operations"):
        steps_of(" ".join(["rev"] * 9))
