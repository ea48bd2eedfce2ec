"""Answers to fields, and labels, that are signed in a browser: with their words, as they were shown, once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loopwright.errors import LoopwrightError, RefusedError, UsageError
from loopwright.govern.answers import Given, answer
from loopwright.govern.intake import take
from loopwright.govern.letters import Letter, dated, read_letter, reply_letter, sign
from loopwright.govern.requests import Desk
from loopwright.ledger.answers import FOLDER, content, history, written
from loopwright.ledger.statement import pae, seal
from loopwright.ledger.verify import verify
from loopwright.types import digest_bytes
from loopwright.workspace import Workspace
from tests.govern.record import nobody
from tests.govern.test_letters import ANNA, KEY, changed, template

__all__ = ["template"]

FIELD = "aiv.1.a"
SAID = Given(field=FIELD, document="annex-iv", state="statement", text="It sorts lists.")
FILES = [("note.txt", "text/plain", b"a note\n")]


@pytest.fixture
def desk(template: Path, tmp_path: Path) -> Iterator[Desk]:
    shutil.copytree(template, tmp_path / "lab")
    with Desk(Workspace(root=tmp_path / "lab"), nobody) as opened:
        yield opened


def test_an_answer_that_a_browser_signed_stands_with_its_words_and_files(desk: Desk) -> None:
    letter = reply_letter(desk, SAID, KEY, FILES)
    assert not (desk.root / FOLDER).exists(), "a draft leaves nothing behind"
    assert letter.about
    assert json.loads(letter.about)["text"] == SAID.text
    taken = take(desk, sign(letter, ANNA), letter)
    [told] = history(desk.consent.state().acts, FIELD, "loop")
    assert (told.index, told.key, told.version, told.state) == (taken.index, KEY, 1, "statement")
    words = content(desk.root, told)
    assert words
    assert (words.text, [one.name for one in words.files]) == (SAID.text, ["note.txt"])
    assert (desk.root / FOLDER / f"{digest_bytes(FILES[0][2])[7:]}.bin").read_bytes() == b"a note\n"
    assert verify(desk.root).ok
    withdrawn = reply_letter(desk, replace(SAID, state="withdrawn", text=None), KEY)
    assert withdrawn.about is None
    take(desk, sign(withdrawn, ANNA), withdrawn)
    assert history(desk.consent.state().acts, FIELD, "loop")[-1].state == "withdrawn"


def other_words(letter: Letter) -> Letter:
    return replace(letter, about=written("It sorts nothing.", None, ()))


def early(letter: Letter) -> bytes:
    payload = dated(letter.payload, letter.moment, "2020-01-01T00:00:00.000Z")
    return seal(payload, KEY, ANNA.sign(pae(payload)))


FORGED: dict[str, tuple[Callable[[Letter], bytes], Callable[[Letter], Letter | None]]] = {
    "its words are not in it": (lambda letter: sign(letter, ANNA), lambda _: None),
    "other words than those that were shown": (lambda letter: sign(letter, ANNA), other_words),
    "not what was shown": (lambda letter: changed(sign(letter, ANNA), about="c0000"), lambda letter: letter),
    "another answer to this came in": (lambda letter: changed(sign(letter, ANNA), version=7), lambda letter: said(letter, version=7)),
    "a name that is not its own": (lambda letter: changed(sign(letter, ANNA), event="answer:mine"), lambda letter: said(letter, event="answer:mine")),
    "too much or too little": (lambda letter: changed(sign(letter, ANNA), more=1), lambda letter: said(letter, more=1)),
    "by its own clock": (early, lambda letter: letter),
    "not that of key": (lambda letter: changed(sign(letter, ANNA), hand=None, document="other"), lambda letter: said(letter, document="other")),
}  # fmt: skip


def said(letter: Letter, **more: object) -> Letter:
    """A draft that says this too, as one who may write to the server's memory could make it."""
    told = json.loads(letter.payload)
    told["predicate"] |= more
    return replace(letter, payload=json.dumps(told, separators=(",", ":"), sort_keys=True).encode())


@pytest.mark.parametrize("why", FORGED)
def test_a_forged_or_misplaced_answer_is_refused_and_nothing_is_kept(desk: Desk, why: str) -> None:
    make, shown = FORGED[why]
    letter = reply_letter(desk, SAID, KEY)
    size = desk.ledger.size
    with pytest.raises(LoopwrightError, match=why):
        take(desk, make(letter), shown(letter))
    assert (desk.ledger.size, (desk.root / FOLDER).exists()) == (size, False)


def test_an_answer_counts_once_and_only_after_the_one_that_its_reader_saw(desk: Desk) -> None:
    first, second = (reply_letter(desk, SAID, KEY) for _ in range(2))
    data = sign(first, ANNA)
    take(desk, data, first)
    with pytest.raises(RefusedError, match="came in before"):
        take(desk, data, first)
    with pytest.raises(RefusedError, match="another answer to this came in meanwhile"):
        take(desk, sign(second, ANNA), second)
    answer(desk, replace(SAID, text="It sorts."), "owner")
    assert [one.version for one in history(desk.consent.state().acts, FIELD, "loop")] == [1, 2]


def test_what_is_about_nothing_is_not_drafted_and_no_letter_file_holds_an_answer(desk: Desk) -> None:
    with pytest.raises(UsageError, match="no answer to"):
        reply_letter(desk, replace(SAID, state="withdrawn", text=None), KEY)
    with pytest.raises(UsageError, match="nothing of the name"):
        reply_letter(desk, replace(SAID, about="c0099"), KEY)
    with pytest.raises(RefusedError, match="another request"):
        read_letter(reply_letter(desk, SAID, KEY).as_json())
