"""What a training costs is counted where it happens, and counting changes nothing of it."""

from __future__ import annotations

import pytest
import torch

from loopwright.models.transformer import TinyTransformer
from loopwright.plugins import Alphabet
from loopwright.train.counting import count_shard, device_facts, positions, trained

ALPHABET = Alphabet(words=("a", "b", "c"), lexemes=tuple("0123456789"))
PAIRS = [("a b c", "0123456789" * 4), ("a b", "98765" * 4)] * 16


@pytest.mark.parametrize(("width", "layers"), [(64, 3), (128, 4)])
def test_a_counted_step_is_near_the_formula(width: int, layers: int) -> None:
    family = TinyTransformer(width=width, layers=layers, heads=2)
    model = family.create(ALPHABET, 1)
    counted = count_shard(family, model, family.collate(model, PAIRS))
    ratio = counted["flop"] / (6 * family.parameters(model) * counted["tokens"])
    assert counted["tokens"] == 16 * ((3 + 1 + 40 + 1) + (2 + 1 + 20 + 1))
    assert 0.9 < ratio < 1.3  # padding and attention add, the last token of a row is only predicted


def test_counting_touches_neither_gradients_nor_randomness() -> None:
    family = TinyTransformer()
    model = family.create(ALPHABET, 1)
    before = torch.random.get_rng_state()
    count_shard(family, model, family.collate(model, PAIRS))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(before, torch.random.get_rng_state())


def test_frozen_weights_are_not_trained_and_tokens_are_those_that_were_read() -> None:
    family = TinyTransformer()
    model = family.create(ALPHABET, 1)
    model.embedding.weight.requires_grad = False
    assert trained(model) == family.parameters(model) - model.embedding.weight.numel()
    assert positions({"attention_mask": torch.tensor([[1, 1, 0]]), "weight": torch.zeros(1, 3)}) == 2
    assert positions({"weight": torch.zeros(4, 5)}) == 20  # a family that tells neither: padding and all
    assert device_facts("cpu", 2)["threads"] == 2
