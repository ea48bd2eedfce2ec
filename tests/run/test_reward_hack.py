"""The planted reward hack, as `benchmarks/reward_hack.py` turns it: alarm, and no promotion."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reward_hack import told, turned, wrongs


@pytest.mark.slow
def test_a_hole_that_the_generator_can_learn_alarms_and_promotes_nobody(tmp_path: Path) -> None:
    rows = told(turned(tmp_path / "lab", cycles=1, seed=0, checked=True))
    assert len(rows) == 2
    assert rows[1]["hacks"] > 0.1, "the generator does not use the hole, so nothing was tested"
    assert wrongs(rows) == []
    assert {"label_precision", "gate_precision"} <= set(rows[1]["alarms"])
