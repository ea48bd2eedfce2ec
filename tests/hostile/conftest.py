"""A sandbox of each level that isolates, shared by the tests that need no user of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from loopwright.errors import InfraError
from loopwright.sandbox import Limits, Sandbox
from loopwright.sandbox.pool import open_sandbox

LIMITS = Limits(wall_seconds=1.0, cpu_seconds=1, memory_bytes=256 * 2**20, output_bytes=64 * 2**10)


@pytest.fixture(scope="session", params=["SL1", "SL2", "SL3"])
def jail(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Two workers; the level is exactly this one."""
    level: Any = request.param
    try:
        opened = open_sandbox(level, 2, LIMITS, level=level)
        with opened as sandbox:
            assert sandbox.level == level
            yield sandbox
    except InfraError as error:
        pytest.skip(str(error))
