"""A seeded small loop that a test may spoil, and persons' requests written straight into the record."""

from __future__ import annotations

from tests.run.conftest import lab, seeded, victim

__all__ = ["lab", "seeded", "victim"]
