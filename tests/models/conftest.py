"""A small model of the built-in family, trained for a moment so that its answers end and differ."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

from loopwright.models.transformer import TinyTransformer
from loopwright.plugins import Alphabet

ALPHABET = Alphabet(words=("a", "b", "c"), lexemes=("A", "B", "C", ";"))
PAIRS = [
    (" ".join(words), ";".join(reversed(words)).upper()) for length in (1, 2, 3) for words in product("abc", repeat=length)
]


@pytest.fixture(scope="session")
def family() -> TinyTransformer:
    return TinyTransformer(width=32, layers=2, heads=2)


@pytest.fixture(scope="session")
def alphabet() -> Alphabet:
    return ALPHABET


@pytest.fixture(scope="session")
def model(family: TinyTransformer) -> Any:
    """Reverses up to three letters, not quite surely."""
    network = family.create(ALPHABET, 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    batch = family.collate(network, PAIRS)
    for _ in range(60):
        optimizer.zero_grad()
        (family.loss(network, batch) / batch["weight"].sum()).backward()
        optimizer.step()
    return network
