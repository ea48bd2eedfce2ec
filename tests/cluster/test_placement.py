"""Where work runs on a cluster: on the nodes whose labels the profile names, and as one job or as one a phase."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from loopwright.runtime.profile import Profile
from loopwright.runtime.ray import RayExecutor
from loopwright.workspace import Workspace
from tests.cluster.conftest import Calm
from tests.cluster.nodes import Nodes
from tests.run.small import copy_of
from tests.run.test_resume import outcome
from tests.runtime import work

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_labels_choose_the_nodes(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in nodes.environment.items():
        monkeypatch.setenv(name, value)
    nodes.restore()
    nodes.add("g", "--labels", "role=generate", cpus=2)
    nodes.add("t", "--labels", "role=train", cpus=2)
    spaces = {name: os.readlink(f"/proc/{nodes.processes(name)[0].pid}/ns/net") for name in ("g", "t")}
    profile = Profile(address=nodes.address, map_labels={"role": "generate"}, train_labels={"role": "train"})
    with closing(RayExecutor(profile, tmp_path / "scratch")) as executor:
        assert set(executor.map(work.network, range(8))) == {spaces["g"]}
        assert executor.describe()["map_workers"] == 2  # the slots of the labelled node alone
        job = {"key": "k", "storage": str(tmp_path / "scratch" / "jobs")}
        assert executor.train(work.network_of_rank, job)["network"] == spaces["t"]
    nodes.kill("g")
    nodes.kill("t")


def test_a_node_of_one_cpu_trains_and_then_samples_and_a_head_without_any_does_neither(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in nodes.environment.items():
        monkeypatch.setenv(name, value)
    nodes.restore()
    nodes.add("o")
    space = os.readlink(f"/proc/{nodes.processes('o')[0].pid}/ns/net")
    with closing(RayExecutor(Profile(address=nodes.address), tmp_path / "scratch")) as executor:
        job = {"key": "k", "storage": str(tmp_path / "scratch" / "jobs")}
        assert executor.train(work.network_of_rank, job)["network"] == space
        assert set(executor.map(work.network, range(3))) == {
            space
        }  # it would wait for ever, where the rank held a part of the slot
    nodes.kill("o")


def test_each_phase_may_be_a_job_of_its_own(lab: Workspace, driver: Callable[..., dict[str, Any]], calm: Calm) -> None:
    plan = lab.root / "loop.yaml"
    plan.write_text(plan.read_text().replace("{profile: cluster/nodes.yaml", "{isolation: job, profile: cluster/nodes.yaml"))
    subprocess.run(["git", "commit", "-qam", "a job a phase"], cwd=lab.root, check=True)
    assert lab.plan().runtime.isolation == "job"
    assert driver(lab.root, 1) == {"signal": None, "code": 0}
    assert outcome(lab) == calm.outcome
    phases = lab.state().cycles["c0001"].phases
    jobs = [phases[phase].environment["job"] for phase in ("generate", "train", "evaluate", "examine") if phase in phases]
    assert len(set(jobs)) == len(jobs) > 2


@contextmanager
def roles(cluster: Nodes, lab: Workspace, labels: str, **nodes: str) -> Iterator[None]:
    """In place of the usual nodes those named, each with its role; the profile says so, and it is committed."""
    for name in cluster.members:
        cluster.kill(name)
    for name, role in nodes.items():
        cluster.add(name, "--labels", f"role={role}", cpus=2 if role == "work" else 1)
    with (lab.root / "cluster" / "nodes.yaml").open("a") as profile:
        profile.write(labels)
    subprocess.run(["git", "commit", "-qam", "roles"], cwd=lab.root, check=True)
    try:
        yield
    finally:
        for name in cluster.members:
            cluster.kill(name)


def test_candidates_run_on_the_nodes_that_are_for_them_and_come_out_the_same(
    lab: Workspace, cluster: Nodes, driver: Callable[..., dict[str, Any]], calm: Calm
) -> None:
    """A node of them that dies in the midst changes nothing either."""
    labels = "map_labels: {role: work}\ntrain_labels: {role: work}\nverify_labels: {role: verify}\n"
    seen, stop = set[str](), threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            held = {name for name, _ in cluster.at("zygote.py")}
            if held == {"u", "v"} and "u" in cluster.members:
                cluster.kill("u")
            seen.update(held)

    watching = threading.Thread(target=watch)
    with roles(cluster, lab, labels, g="work", u="verify", v="verify"):
        watching.start()
        try:
            assert driver(lab.root, 1) == {"signal": None, "code": 0}
        finally:
            stop.set()
            watching.join()
    assert seen == {"u", "v"}
    assert outcome(lab) == calm.outcome
    assert lab.state().cycles["c0001"].phases["verify"].environment["judged_on"] == {"role": "verify"}


def test_the_next_cycle_is_generated_on_other_nodes_while_this_one_trains(
    lab: Workspace, cluster: Nodes, driver: Callable[..., dict[str, Any]], calm: Calm
) -> None:
    """Taken up or thrown away, as the gate decides; either way what comes out is what came out one after the other."""
    alone = copy_of(calm.before, lab.root.with_name("alone"))
    assert driver(alone.root, 3) == {"signal": None, "code": 0}
    plan = lab.root / "loop.yaml"
    plan.write_text(plan.read_text().replace("{profile: cluster/nodes.yaml", "{overlap: true, profile: cluster/nodes.yaml"))
    assert lab.plan().runtime.overlap
    with roles(cluster, lab, "map_labels: {role: generate}\ntrain_labels: {role: train}\n", g="generate", t="train"):
        assert driver(lab.root, 3) == {"signal": None, "code": 0}
    assert outcome(lab) == outcome(alone)
    cycles = lab.state().cycles
    for name, before in (("c0002", "c0001"), ("c0003", "c0002")):
        ahead = cycles[name].phases["generate"].environment.get("ahead")
        wasted = [one["error"] for one in cycles[name].failures]
        assert (ahead, wasted) == ((None, ["NotNeeded"]) if cycles[name].parent == before else ({"staleness": 0}, []))
    assert any(cycles[name].phases["generate"].started_at < cycles[name].opened_at for name in ("c0002", "c0003")) or any(
        cycles[name].failures for name in ("c0002", "c0003")
    )
