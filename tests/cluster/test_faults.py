"""Whatever dies on a cluster of several nodes: the run goes on or is run again, no row is lost, no phase is done twice, and the bytes are those
of an undisturbed run in one process."""

from __future__ import annotations

import resource
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from loopwright.workspace import Workspace
from tests.cluster.conftest import Calm
from tests.cluster.nodes import Nodes
from tests.run.test_resume import outcome

pytestmark = [pytest.mark.slow, pytest.mark.ray]

Driver = Callable[..., dict[str, Any]]
TRAINING = ("c0001", "train", "middle")


def disturbed(lab: Workspace, driver: Driver, when: tuple[str, str, str], fault: Callable[[], object]) -> dict[str, Any]:
    """Turn c0001 and let ``fault`` happen; how the driver ended."""
    mark = lab.private / "reached"
    with ThreadPoolExecutor(1) as beside:
        run = beside.submit(driver, lab.root, 1, when, mark)
        while not mark.exists():
            assert not run.done(), run.result()
            time.sleep(0.02)
        fault()
        assert f"{when[0]} {when[1]} worked" not in (lab.private / "seen.txt").read_text(), (
            "it came too late to disturb anything"
        )
        return run.result()


def is_whole(lab: Workspace, calm: Calm) -> None:
    """Same artifacts and decisions; each phase once; each proposed row accepted or refused with a reason."""
    assert outcome(lab) == calm.outcome
    record = lab.state().cycles["c0001"]
    assert record.closed_at
    recorded = Counter((one.predicate["cycle"], one.predicate["phase"]) for one in statements(lab) if one.kind == "phase")
    assert set(recorded.values()) == {1}
    verified = record.phases["verify"].summary
    assert record.phases["generate"].summary["rows"] == verified["accepted"] + sum(verified["refused"].values())
    assert {record.phases[phase].environment["executor"] for phase in ("generate", "train", "evaluate")} == {"ray"}


def statements(lab: Workspace) -> list[Any]:
    ledger = lab.ledger()
    try:
        return list(ledger.statements())
    finally:
        ledger.close()


def training(nodes: Nodes) -> tuple[str, psutil.Process]:
    """Node and process of the training worker; a process that is just named anew has no name for an instant."""
    end = time.monotonic() + 10
    while not (found := nodes.at("RayTrainWorker")):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found[0]


def test_a_killed_training_process_is_replaced(lab: Workspace, driver: Driver, calm: Calm, cluster: Nodes) -> None:
    assert disturbed(lab, driver, TRAINING, lambda: training(cluster)[1].send_signal(signal.SIGKILL))["code"] == 0
    is_whole(lab, calm)


def test_a_killed_node_is_done_without_in_training(lab: Workspace, driver: Driver, calm: Calm, cluster: Nodes) -> None:
    assert disturbed(lab, driver, TRAINING, lambda: cluster.kill(training(cluster)[0]))["code"] == 0
    is_whole(lab, calm)


def test_a_killed_node_is_done_without_in_generation(lab: Workspace, driver: Driver, calm: Calm, cluster: Nodes) -> None:
    assert disturbed(lab, driver, ("c0001", "generate", "middle"), lambda: cluster.kill("a"))["code"] == 0
    is_whole(lab, calm)


def test_a_cut_node_is_done_without(lab: Workspace, driver: Driver, calm: Calm, cluster: Nodes) -> None:
    """What trained there is not told, writes on for a while to the disk that all share, and changes nothing."""
    node = training
    where: list[str] = []

    def cut() -> None:
        where.append(node(cluster)[0])
        cluster.cut(where[0])

    assert disturbed(lab, driver, TRAINING, cut)["code"] == 0
    is_whole(lab, calm)
    cluster.mend(where[0])
    cluster.kill(where[0])


def test_a_killed_head_ends_the_run_and_the_next_goes_on(lab: Workspace, driver: Driver, calm: Calm, cluster: Nodes) -> None:
    def fall() -> None:
        cluster.kill_head()
        for name in ("a", "b"):
            cluster.kill(name)

    assert disturbed(lab, driver, TRAINING, fall)["code"] == 1
    said = (lab.private / "said.txt").read_text()
    assert f"the Ray cluster at {cluster.address} failed" in said or f"the Ray cluster at {cluster.address} was lost" in said
    assert "Traceback" not in said
    cluster.restore("a", "b")
    assert driver(lab.root, 1) == {"signal": None, "code": 0}
    is_whole(lab, calm)
    assert [failure["phase"] for failure in lab.state().cycles["c0001"].failures] == ["train"]


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "preempted"])
def test_a_driver_that_dies_leaves_no_work_behind_and_the_next_goes_on(
    lab: Workspace, driver: Driver, calm: Calm, cluster: Nodes, death: signal.Signals
) -> None:
    def die() -> None:
        (found,) = [child for child in psutil.Process().children(recursive=True) if holds(child, lab)]
        found.send_signal(death)

    ended = disturbed(lab, driver, TRAINING, die)
    assert ended == ({"signal": None, "code": 143} if death == signal.SIGTERM else {"signal": signal.SIGKILL, "code": None})
    if death == signal.SIGTERM:
        assert "saved at step" in (lab.private / "said.txt").read_text()
    end = time.monotonic() + 30
    while cluster.at("RayTrainWorker") and time.monotonic() < end:
        time.sleep(0.2)
    assert not cluster.at("RayTrainWorker")
    assert driver(lab.root, 1) == {"signal": None, "code": 0}
    is_whole(lab, calm)


def holds(process: psutil.Process, lab: Workspace) -> bool:
    """Whether it is the driver of that workspace: the one that writes what it sees."""
    return any(file.path == str(lab.private / "seen.txt") for file in process.open_files())


def test_memory_that_runs_out_in_training_is_said_and_the_next_run_goes_on(
    lab: Workspace, driver: Driver, calm: Calm, cluster: Nodes
) -> None:
    def starve() -> None:
        _, process = training(cluster)
        process.rlimit(resource.RLIMIT_AS, (2**20, 2**20))  # not one more page

    ended = disturbed(lab, driver, TRAINING, starve)
    if ended["code"] != 0:  # it was told; where the process died of it, another has taken its place
        said = (lab.private / "said.txt").read_text()
        assert any(word in said for word in ("out of memory in the train phase", "could not create a primitive")), said
        assert driver(lab.root, 1) == {"signal": None, "code": 0}
    is_whole(lab, calm)


def test_a_node_that_is_told_to_leave_is_done_without(lab: Workspace, driver: Driver, calm: Calm, cluster: Nodes) -> None:
    """SIGTERM to its raylet, as a pre-empted host gets."""

    def leave() -> None:
        node, _ = training(cluster)
        (raylet,) = [process for process in cluster.processes(node) if process.name() == "raylet"]
        raylet.terminate()

    assert disturbed(lab, driver, TRAINING, leave)["code"] == 0
    is_whole(lab, calm)
