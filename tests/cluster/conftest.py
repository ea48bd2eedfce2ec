"""A Ray of three nodes in network namespaces, and loops whose second cycle is turned on it while something dies."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loopwright.workspace import Workspace
from tests.cluster.network import possible
from tests.cluster.nodes import Nodes
from tests.ledger.cluster import binaries
from tests.ledger.cluster import cluster as cluster_of
from tests.run.conftest import server
from tests.run.small import copy_of, make_small, small_recipe
from tests.run.test_resume import outcome

STEPS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """What comes out where nothing dies."""

    before: Path
    """A workspace after c0000."""
    outcome: dict[str, Any]
    """Artifacts and decisions after c0001."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnServer:
    """A workspace whose record is on a server, so that any host may turn it."""

    workspace: Workspace
    passwords: Path
    """libpq's file, for whoever turns it."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    if not possible():
        pytest.skip("nodes of their own need network namespaces, and so root")
    with Nodes(tmp_path_factory.mktemp("nodes")) as made:
        yield made


@pytest.fixture
def cluster(nodes: Nodes) -> Nodes:
    """With a head and two nodes that live, whatever the last test did."""
    nodes.restore("a", "b")
    return nodes


@pytest.fixture(scope="module")
def driver(nodes: Nodes) -> Iterator[Callable[..., dict[str, Any]]]:
    """Turns loops on the nodes."""
    with server(**nodes.environment, RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S="20") as turn:
        yield turn


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, driver: Callable[..., dict[str, Any]]) -> Calm:
    """Turned in one process."""
    made = make_small(tmp_path_factory.mktemp("calm") / "lab", **{"trainer.checkpoint_every": 30})
    small_recipe(made.root, STEPS)
    assert driver(made.root, 0)["code"] == 0
    after = copy_of(made.root, made.root.with_name("after"))
    assert driver(after.root, 1)["code"] == 0
    return Calm(before=made.root, outcome=outcome(after))


@pytest.fixture
def lab(calm: Calm, cluster: Nodes, tmp_path: Path) -> Workspace:
    """After c0000; what follows is done on the nodes."""
    workspace = copy_of(calm.before, tmp_path / "lab")
    keys = {"executor": "ray", "address": cluster.address, "map_workers": 2, "max_failures": 3}
    profile = workspace.root / "cluster" / "nodes.yaml"
    profile.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()))
    plan = workspace.root / "loop.yaml"
    assert "profile: in-process" in plan.read_text()
    plan.write_text(plan.read_text().replace("profile: in-process", "profile: cluster/nodes.yaml"))
    subprocess.run(["git", "add", "-A"], cwd=workspace.root, check=True)
    subprocess.run(["git", "commit", "-qm", "on the nodes"], cwd=workspace.root, check=True)
    return workspace


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """A loop of one cycle after c0000, turned in one process."""
    made = make_small(tmp_path_factory.mktemp("single") / "lab", **{"cycles": 1, "trainer.checkpoint_every": 30})
    small_recipe(made.root, STEPS)
    with server() as turn:
        assert turn(made.root, 0)["code"] == 0
        after = copy_of(made.root, made.root.with_name("after"))
        assert turn(after.root, 1)["code"] == 0
    return Calm(before=made.root, outcome=outcome(after))


@pytest.fixture
def on_a_server(single: Calm, tmp_path: Path) -> Iterator[OnServer]:
    """After c0000, for a cluster that it joins; the server's socket is on the disk that all hosts see."""
    programs = binaries()
    if programs is None:
        pytest.skip("the record must be on a server: install postgresql")
    workspace = copy_of(single.before, tmp_path / "lab")
    profile, plan = workspace.root / "cluster/ray.yaml", workspace.root / "loop.yaml"
    profile.write_text(profile.read_text().replace("train_workers: 4", "train_workers: 2"))
    with cluster_of(programs) as postgres:
        url = f"postgresql+pg8000://loop@:{postgres.port}/postgres?host={postgres.folder}"
        assert "profile: in-process" in plan.read_text()
        told = plan.read_text().replace("profile: in-process", "profile: cluster/ray.yaml")
        plan.write_text(f"{told}record: {{url: '{url}'}}\n")
        subprocess.run(["git", "commit", "-qam", "on a server"], cwd=workspace.root, check=True)
        passwords = tmp_path / "pgpass"
        passwords.write_text(postgres.password_line().replace("127.0.0.1", "localhost"))
        passwords.chmod(0o600)
        yield OnServer(workspace=workspace, passwords=passwords)
