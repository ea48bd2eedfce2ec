"""The fast sampler gives what a plain loop gives, and a row's draws belong to the row."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from loopwright.models import sampler
from loopwright.models.codec import EOS
from loopwright.models.draw import uniforms
from loopwright.models.sampler import choose
from loopwright.models.transformer import TinyTransformer

PROMPTS = ["a b c", "c", "b a", "a b c", "c c c b a a", "b", "a b c", "c a b a b a b a b c a b"] * 5
SEEDS = list(range(100, 100 + len(PROMPTS)))
PINNED = [[0.011546754286331562, 0.9258067163090251], [0.24154919656271812, 0.18157025027346085]]


@torch.inference_mode()
def plain(model: Any, prompt: str, seed: int, temperature: float, most: int) -> list[int]:
    """One row at a time, the whole sequence at every step, no cache."""
    ids, head = model.codec.prompt(prompt), len(model.codec.prompt(prompt))
    allowed = torch.tensor(model.codec.answers)
    draws = torch.from_numpy(uniforms([seed], most))
    for step in range(most):
        hidden = model(torch.tensor([ids]), torch.arange(len(ids)))[-1:]
        picked = choose(model.logits(hidden, allowed), temperature, draws[step] if temperature else None)
        ids.append(int(allowed[picked]))
        if ids[-1] == EOS:
            break
    return ids[head:]


@pytest.mark.parametrize("temperature", [0.0, 0.8, 3.0])
def test_it_gives_what_a_plain_loop_gives(family: TinyTransformer, model: Any, temperature: float) -> None:
    found = family.sample(model, PROMPTS, SEEDS, temperature, 40)
    expected = [plain(model, prompt, seed, temperature, 40) for prompt, seed in zip(PROMPTS, SEEDS, strict=True)]
    assert [(one.text, one.tokens) for one in found] == [(model.codec.text(ids), len(ids)) for ids in expected]
    assert len({one.text for one in found}) > 4


def test_batches_room_and_leaving_do_not_show(family: TinyTransformer, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = family.sample(model, PROMPTS, SEEDS, 2.0, 50)
    for name, value in {"BATCH": 7, "_ROOM": 1, "_LEAVE": 2}.items():
        monkeypatch.setattr(sampler, name, value)
    assert family.sample(model, PROMPTS, SEEDS, 2.0, 50) == usual


def test_a_row_keeps_its_answer_in_other_company(family: TinyTransformer, model: Any) -> None:
    together = family.sample(model, PROMPTS, SEEDS, 2.0, 30)
    order = sorted(range(len(PROMPTS)), key=lambda row: -SEEDS[row])[::3]
    apart = family.sample(model, [PROMPTS[row] for row in order], [SEEDS[row] for row in order], 2.0, 30)
    assert apart == [together[row] for row in order]


def test_equal_seeds_draw_alike_and_others_do_not(family: TinyTransformer, model: Any) -> None:
    same = family.sample(model, ["a b c"] * 20, [7] * 20, 3.0, 30)
    assert len({one.text for one in same}) == 1
    assert len({one.text for one in family.sample(model, ["a b c"] * 20, list(range(20)), 3.0, 30)}) > 5


def test_an_answer_is_cut_at_the_limit(family: TinyTransformer, model: Any) -> None:
    found = family.sample(model, ["a b c"], [0], 0.0, 2)
    assert found[0].tokens == 2
    assert family.sample(model, ["a b c"], [0], 0.0, 40)[0].text.startswith(found[0].text)


def test_nothing_asked_nothing_answered(family: TinyTransformer, model: Any) -> None:
    assert family.sample(model, [], [], 1.0, 10) == []


def test_unknown_words_are_refused(family: TinyTransformer, model: Any) -> None:
    with pytest.raises(ValueError, match="alphabet"):
        family.sample(model, ["a", "z"], [1, 2], 0.0, 5)


def test_threads_are_left_as_they_were(family: TinyTransformer, model: Any) -> None:
    torch.set_num_threads(2)
    try:
        family.sample(model, ["a"], [1], 0.0, 5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_another_process_writes_the_same_text(family: TinyTransformer, model: Any, tmp_path: Path) -> None:
    family.save(model, tmp_path)
    code = (
        "import hashlib, pathlib, sys\n"
        "from loopwright.models.transformer import TinyTransformer\n"
        "family = TinyTransformer()\n"
        "model = family.load(pathlib.Path(sys.argv[1]))\n"
        f"found = family.sample(model, {PROMPTS!r}, {SEEDS!r}, 2.0, 50)\n"
        "print(hashlib.sha256(repr(found).encode()).hexdigest())\n"
    )
    there = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    here = family.sample(model, PROMPTS, SEEDS, 2.0, 50)
    assert there.stdout.strip() == hashlib.sha256(repr(here).encode()).hexdigest()


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=6, unique=True), st.integers(1, 40), st.integers(1, 40))
def test_a_draw_hangs_on_seed_and_step_alone(seeds: Sequence[int], steps: int, fewer: int) -> None:
    found = uniforms(seeds, steps)
    assert found.shape == (steps, len(seeds))
    assert ((found >= 0) & (found < 1)).all()
    few = min(steps, fewer)
    np.testing.assert_array_equal(uniforms(seeds[::-1], few), found[:few, ::-1])


def test_draws_are_pinned() -> None:
    """A change of the generator would change every loop: it must be seen."""
    assert uniforms([0, 2**63 - 1], 2).tolist() == PINNED


def test_the_inverse_of_the_distribution_is_taken() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.25, 0.5]])).repeat(5, 1)
    draws = torch.tensor([0.0, 0.2499, 0.2501, 0.51, 1 - 2**-53], dtype=torch.float64)
    assert choose(logits, 1.0, draws).tolist() == [0, 0, 1, 2, 2]
    sharper = choose(logits, 0.5, draws).tolist()  # 1/6, 1/6, 4/6
    assert sharper == [0, 1, 1, 2, 2]
    assert choose(logits, 0.0, None).tolist() == [2] * 5


def test_what_cannot_be_is_not_drawn_even_at_zero() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]]).repeat(2, 1)
    assert choose(logits, 1.0, torch.tensor([0.0, 0.5], dtype=torch.float64)).tolist() == [1, 2]


def test_the_last_column_is_the_end_however_the_sum_was_rounded() -> None:
    logits = torch.randn(1000, 54, generator=torch.Generator().manual_seed(0))
    assert choose(logits, 1.0, torch.full((1000,), 1 - 2**-53, dtype=torch.float64)).max() <= 53
