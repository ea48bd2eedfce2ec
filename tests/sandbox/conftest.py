"""One sandbox a level for all tests that only run candidates: small limits, two zygotes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from loopwright.sandbox import Limits, Sandbox
from loopwright.sandbox.pool import open_sandbox


@pytest.fixture(scope="session")
def limits() -> Limits:
    return Limits(wall_seconds=1.0, cpu_seconds=1, memory_bytes=96 * 2**20, output_bytes=64 * 2**10)


@pytest.fixture(scope="session", params=["SL1", "SL2", "SL3"])
def sandbox(limits: Limits, request: pytest.FixtureRequest, require: Callable[..., None]) -> Iterator[Sandbox]:
    """Everything that is tested of candidates holds at every level."""
    if request.param == "SL3":
        require("bwrap")
    with open_sandbox(request.param, workers=2, limits=limits, level=request.param) as opened:
        assert opened.level == request.param
        yield opened
