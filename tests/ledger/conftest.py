"""Workspaces for the ledger's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.ledger.workshop import Workshop

settings.register_profile("shared-machine", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("shared-machine")


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """A fresh ledger with its genesis entry, signed in this process."""
    made = Workshop(tmp_path / "workspace", tmp_path / "keys")
    yield made
    made.ledger.close()
