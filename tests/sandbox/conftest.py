"""One sandbox for all tests that only run candidates: small limits, two zygotes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loopwright.sandbox import Limits, Sandbox
from loopwright.sandbox.pool import open_sandbox


@pytest.fixture(scope="session")
def limits() -> Limits:
    return Limits(wall_seconds=1.0, cpu_seconds=1, memory_bytes=96 * 2**20, output_bytes=64 * 2**10)


@pytest.fixture(scope="session")
def sandbox(limits: Limits) -> Iterator[Sandbox]:
    with open_sandbox("SL1", workers=2, limits=limits) as opened:
        yield opened
