"""A cluster that cannot be used says so in one sentence: of another version, with a disk or an object store that is full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from loopwright.attempt import in_words
from loopwright.errors import InfraError
from loopwright.runtime.profile import Profile
from loopwright.runtime.ray import RayExecutor
from tests.cluster.network import possible
from tests.cluster.nodes import Nodes
from tests.runtime import work

pytestmark = [pytest.mark.slow, pytest.mark.ray]

STORE = 80_000_000
OLDER = "import ray; ray.__version__ = '2.59.1'; from ray.scripts.scripts import main; main()"
"""A head that says of itself that it is another Ray; all else is real."""


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    if not possible():
        pytest.skip("nodes of their own need network namespaces, and so root")
    with Nodes(tmp_path) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


def executor(nodes: Nodes, tmp_path: Path) -> RayExecutor:
    return RayExecutor(Profile(address=nodes.address, map_workers=2), tmp_path / "scratch")


def test_another_ray_is_named_with_both_versions(nodes: Nodes, tmp_path: Path) -> None:
    nodes.start_head(program=OLDER)
    with closing(executor(nodes, tmp_path)) as guest, pytest.raises(InfraError) as refused:
        guest.map(work.draw, [1])
    assert "Ray: 2.59.1" in refused.value.message
    assert "Ray: 2.60.0" in refused.value.message
    assert "requirements.lock" in refused.value.next_step


def test_a_full_object_store_spills_and_a_full_disk_besides_is_said(nodes: Nodes, tmp_path: Path) -> None:
    """Two results of 60 MB do not fit into 80 MB; on the disk there is room for the other until it is full."""
    nodes.start_head()
    nodes.add("c", f"--object-store-memory={STORE}", cpus=2, disk=(nodes.temporary, "200m"))
    items = [60_000_000, 59_000_000, 58_000_000, 57_000_000]
    with closing(executor(nodes, tmp_path)) as guest:
        assert [len(found) for found in guest.map(work.large, items)] == items
        fill(nodes, "c")
        assert guest.map(work.draw, [1, 2]) == [work.draw(1), work.draw(2)]  # what is small needs no disk
        with pytest.raises(InfraError, match="failed: OutOfDiskError: Local disk is full") as full:
            guest.map(work.large, items)
        assert "goes on from what is done" in full.value.next_step
        assert in_words("generate", full.value).message.startswith("disk full in the generate phase")
        fill(nodes, "c", free=True)
        assert [len(found) for found in guest.map(work.large, items)] == items


def fill(nodes: Nodes, name: str, *, free: bool = False) -> None:
    """The node's own disk, to the last byte; or free it again."""
    raylet = next(found for found in nodes.processes(name) if found.name() == "raylet")
    filler = nodes.temporary / "filler"
    command = f"rm {filler}" if free else f"cat /dev/zero > {filler}; true"
    subprocess.run(["nsenter", "-t", str(raylet.pid), "-m", "sh", "-c", command], check=True, capture_output=True)
