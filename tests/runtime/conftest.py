"""One Ray for the tests of this folder that need one training worker, one for those that need two."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopwright.runtime.profile import Profile, load_profile
from loopwright.runtime.ray import RayExecutor


@pytest.fixture(scope="session")
def profile(repository) -> Profile:
    """The shipped profile, on two CPU slots whatever the machine has."""
    return dataclasses.replace(load_profile(repository, "cluster/local.yaml"), num_cpus=2)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="session")
def executor(profile, scratch) -> Iterator[RayExecutor]:
    """One training worker, kept warm over all tests."""
    os.environ["LOOPWRIGHT_TEST_SECRET_TOKEN"] = "driver only"
    os.environ["LOOPWRIGHT_TEST_WANTED"] = "passed on"
    chosen = dataclasses.replace(profile, environment=("LOOPWRIGHT_TEST_WANTED",), max_failures=1)
    opened = RayExecutor(chosen, scratch, ("torch",))
    opened.warm()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pair(profile, tmp_path_factory) -> Iterator[RayExecutor]:
    """Two training workers, and Ray's dashboard."""
    opened = RayExecutor(
        dataclasses.replace(profile, train_workers=2, dashboard=True, max_failures=1),
        tmp_path_factory.mktemp("pair"),
        ("torch",),
    )
    opened.warm()
    yield opened
    opened.close()
