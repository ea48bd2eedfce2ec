"""Text goes into ids and comes back; what the alphabet lacks is refused with words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.models.codec import EOS, PAD, SEP, Codec
from loopwright.plugins import Alphabet

LEXEMES = ("x", "x=", "x=x", "=)", "[::-1]", "[", "1", "\n", "sorted(", ")")
CODEC = Codec(Alphabet(words=("rev", "drop", "1"), lexemes=LEXEMES))


@given(st.lists(st.sampled_from(LEXEMES), max_size=20).map("".join))
def test_any_concatenation_of_lexemes_comes_back_as_it_was(text: str) -> None:
    ids = CODEC.answer(text)
    assert ids[-1] == EOS
    assert not {PAD, SEP} & set(ids)
    assert CODEC.text(ids) == text


def test_the_longest_lexeme_is_cut_first() -> None:
    assert CODEC.answer("x=x[::-1]") == [CODEC.answer("x=x")[0], CODEC.answer("[::-1]")[0], EOS]


def test_what_greed_gets_stuck_in_is_cut_all_the_same() -> None:
    codec = Codec(Alphabet(words=(), lexemes=("x", "x=x", "=y", "y")))
    assert [codec.text([number]) for number in codec.answer("x=xx=y")] == ["x=x", "x", "=y", ""]


def test_a_piece_that_is_word_and_lexeme_is_one_token() -> None:
    assert CODEC.prompt("drop 1")[1] == CODEC.answer("1")[0]
    assert CODEC.size == 3 + 3 + len(LEXEMES) - 1


def test_prompts_are_split_at_any_blanks_and_end_in_sep() -> None:
    assert CODEC.prompt(" rev  drop 1 ") == CODEC.prompt("rev drop 1")
    assert CODEC.prompt("rev")[-1] == SEP


def test_without_words_prompts_are_cut_like_answers() -> None:
    codec = Codec(Alphabet(words=(), lexemes=("a", "ab", " ")))
    assert codec.prompt("ab a") == [*codec.answer("ab a")[:-1], SEP]


def test_only_lexemes_and_eos_may_stand_in_an_answer() -> None:
    assert {CODEC.text([number]) for number in CODEC.answers} == {"", *LEXEMES}
    assert not {PAD, SEP} & set(CODEC.answers)


def test_a_pair_says_how_much_of_it_is_prompt() -> None:
    ids, head = CODEC.pair("rev", "x=x")
    assert ids.tolist() == CODEC.prompt("rev") + CODEC.answer("x=x")
    assert head == 2


@pytest.mark.parametrize(("call", "text", "named"), [("prompt", "rev sort", "'sort'"), ("answer", "x=x[0]", "'x=x[0]'")])
def test_unknown_text_is_refused_by_name(call: str, text: str, named: str) -> None:
    with pytest.raises(ValueError, match="alphabet") as refused:
        getattr(CODEC, call)(text)
    assert named in str(refused.value)


def test_an_alphabet_needs_lexemes_and_no_empty_piece() -> None:
    with pytest.raises(ValueError, match="lexemes"):
        Codec(Alphabet(words=("a",), lexemes=()))
    with pytest.raises(ValueError, match="empty"):
        Codec(Alphabet(words=("",), lexemes=("a",)))
