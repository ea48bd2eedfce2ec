"""Real git and DVC: what is recorded is clean, complete, protected, and can be brought back by digest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fsspec.implementations.memory import MemoryFileSystem

from loopwright.errors import InfraError, IntegrityError, WorkspaceError
from loopwright.store import cycles, git, lockfile
from loopwright.store.artifacts import adopt, check, publish, seal
from loopwright.store.cycles import Item, item_of, read_cycles, read_past
from loopwright.store.dvc import DvcStore
from loopwright.types import cycle_name
from tests.store import fake
from tests.store.conftest import Loop

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value will soon:DeprecationWarning")  # pygtrie's, within dvc

CONFIGS = tuple((cycle, phase) for cycle, phases in (("c0000", fake.FIRST), ("c0002", fake.TURN)) for phase in phases)

TABLE = {
    "generate@c0002": {
        "recipes/none.diff",
        "cycles/c0000/model",
        "cycles/c0001/accepted",
        "cycles/c0000/heldout",
        "> cycles/c0002/proposals",
    },
    "verify@c0002": {
        "cycles/c0002/proposals",
        "cycles/c0001/archive",
        "cycles/c0000/heldout",
        "> cycles/c0002/accepted",
    },
    "merge@c0002": {"cycles/c0001/archive", "cycles/c0002/accepted", "> cycles/c0002/archive"},
    "train@c0002": {"cycles/c0000/model", "cycles/c0002/archive", "> cycles/c0002/model"},
    "evaluate@c0002": {
        "cycles/c0002/model",
        "cycles/c0000/evaluation",
        "cycles/c0000/suites",
        "> cycles/c0002/evaluation",
    },
    "examine@c0002": {
        "cycles/c0001/card",
        "cycles/c0000/model",
        "cycles/c0002/model",
        "cycles/c0002/accepted",
        "cycles/c0002/archive",
        "cycles/c0002/evaluation",
        "cycles/c0000/suites",
        "> cycles/c0002/card",
    },
    "decide@c0002": {
        "cycles/c0002/evaluation",
        "cycles/c0002/card",
        "cycles/c0001/decision.json",
        "> cycles/c0002/decision.json",
    },
    "seed@c0000": {"sources", *(f"> cycles/c0000/{name}" for name in fake.FIRST["seed"])},
    "seed-train@c0000": {"cycles/c0000/archive", "> cycles/c0000/model"},
    "seed-evaluate@c0000": {"cycles/c0000/model", "cycles/c0000/suites", "> cycles/c0000/evaluation"},
    "seed-examine@c0000": {
        "cycles/c0000/model",
        "cycles/c0000/archive",
        "cycles/c0000/evaluation",
        "cycles/c0000/suites",
        "> cycles/c0000/card",
    },
    "seed-decide@c0000": {"cycles/c0000/evaluation", "cycles/c0000/card", "> cycles/c0000/decision.json"},
    "examine-empty@c0003": {
        "cycles/c0002/card",
        "cycles/c0003/accepted",
        "cycles/c0003/archive",
        "cycles/c0000/suites",
        "> cycles/c0003/card",
    },
    "decide-empty@c0003": {"cycles/c0003/card", "cycles/c0002/decision.json", "> cycles/c0003/decision.json"},
}
"""Inputs and (>) outputs of each phase; c0001 was rejected, so the parent of c0002 is c0000 and its prev is c0001."""


def locked(root: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def paths(entry: dict[str, Any], side: str) -> set[str]:
    return {item["path"] for item in entry.get(side, [])}


def dvc(root: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def bytes_read() -> int:
    """Bytes that this process has asked the system for, from disk or from memory."""
    return int(Path("/proc/self/io").read_text(encoding="ascii").split("rchar: ")[1].split()[0])


# What is recorded


def test_after_recording_nothing_is_left_to_do(loop: Loop) -> None:
    assert loop.store.status() == {}
    assert loop.store.stale() == []
    assert git.dirty(loop.root) == []
    assert dvc(loop.root, "status").strip() == "Data and pipelines are up to date."
    shown = dvc(loop.root, "repro", "--dry")
    assert shown.count("didn't change, skipping") == len(locked(loop.root)) == 5 + 7 + 7 + 5
    assert "Running stage" not in shown


@pytest.mark.parametrize("stage", TABLE)
def test_a_stage_has_the_inputs_of_its_phase_and_no_other(loop: Loop, stage: str) -> None:
    entry = locked(loop.root)[stage]
    phase, _, cycle = stage.partition("@")
    name = phase.removeprefix("seed-").removesuffix("-empty")
    assert entry["cmd"] == f"loopwright phase {name} --cycle {cycle}"
    seen = paths(entry, "deps") | {f"> {path}" for path in paths(entry, "outs")}
    assert seen == TABLE[stage] | {f"cycles/{cycle}/config/{name}.json"}


def test_a_cycle_without_a_challenger_has_no_stage_that_never_ran(loop: Loop) -> None:
    assert {stage for stage in locked(loop.root) if stage.endswith("@c0003")} == {
        "generate@c0003",
        "verify@c0003",
        "merge@c0003",
        "examine-empty@c0003",
        "decide-empty@c0003",
    }


def every_dep() -> list[str]:
    """All that stages of c0000 and c0002 depend on; a directory stands for a file in it."""
    mine = {path for stage in TABLE for path in TABLE[stage] if not path.startswith(">")}
    return sorted(mine | {f"cycles/{cycle}/config/{phase}.json" for cycle, phase in CONFIGS})


@pytest.mark.parametrize("dep", every_dep())
def test_one_changed_byte_makes_exactly_what_follows_stale(loop: Loop, dep: str, tmp_path: Path) -> None:
    graph = locked(loop.root)
    expected = {stage for stage, entry in graph.items() if dep in paths(entry, "deps") | paths(entry, "outs")}
    while more := {
        stage
        for stage, entry in graph.items()
        if stage not in expected and any(paths(entry, "deps") & paths(graph[before], "outs") for before in expected)
    }:
        expected |= more
    place = loop.root / dep
    file = place if place.is_file() else min(path for path in place.rglob("*") if path.is_file())
    data = file.read_bytes() or b"\0"
    os.link(file, tmp_path / "aside")
    file.unlink()
    file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    try:
        assert expected
        assert loop.store.stale() == sorted(expected)
    finally:
        (tmp_path / "aside").replace(file)


def test_outputs_are_read_only_links_of_the_cache(loop: Loop) -> None:
    files = [file for path in loop.sealed for file in [loop.root / path, *(loop.root / path).rglob("*")] if file.is_file()]
    assert len(files) > 30
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o444}
    assert {file.stat().st_nlink for file in files if file.name != "decision.json"} == {2}


def test_every_object_of_cache_and_remote_hashes_to_its_name(loop: Loop) -> None:
    for objects in (loop.root / ".dvc/cache/files/md5", loop.root.with_name("lab-remote") / "files/md5"):
        found = [file for file in objects.rglob("*") if file.is_file()]
        assert len(found) > 30
        wrong = [
            file
            for file in found
            if hashlib.md5(file.read_bytes()).hexdigest() != f"{file.parent.name}{file.name}".removesuffix(".dir")
        ]
        assert wrong == []


def test_what_is_recorded_is_what_was_sealed(loop: Loop) -> None:
    for path, sealed in loop.sealed.items():
        assert check(loop.root, fake.artifact(path, sealed), fresh=True).manifest == sealed.manifest


def test_a_clone_gets_any_model_back_by_its_digest(loop: Loop, tmp_path: Path) -> None:
    git.clone(loop.root, tmp_path / "clone")
    models = ["cycles/c0000/model", "cycles/c0001/model", "cycles/c0002/model"]
    dvc(tmp_path / "clone", "pull", *models)
    for path in models:
        assert check(tmp_path / "clone", fake.artifact(path, loop.sealed[path]), fresh=True)
    assert not (tmp_path / "clone" / "cycles/c0001/proposals").exists()


def test_a_clone_gets_everything_back_and_goes_on(loop: Loop, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    git.clone(loop.root, root)
    store = DvcStore(root)
    store.pull()
    assert store.status() == {}
    assert store.stale() == []
    for path, sealed in loop.sealed.items():
        assert check(root, fake.artifact(path, sealed))
    fake.turn(store, root, "c0004", parent="c0002", prev="c0003")
    assert store.status() == {}
    assert git.dirty(root) == []
    store.close()


def test_an_old_commit_comes_back_whole(loop: Loop, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    git.clone(loop.root, root, "HEAD~2")  # the end of c0001
    store = DvcStore(root)
    store.pull()
    assert store.status() == {}
    assert not (root / "cycles/c0002").exists()
    store.close()


def test_a_fork_shares_the_objects_of_its_origin(loop: Loop, tmp_path: Path) -> None:
    root = tmp_path / "fork"
    git.clone(loop.root, root, "HEAD~1")  # the end of c0002
    store = DvcStore.share(root, loop.root, root / ".loopwright" / "remote")
    store.checkout()
    assert store.status() == {}
    rows = "cycles/c0002/model/rows.parquet"
    assert (root / rows).stat().st_ino == (loop.root / rows).stat().st_ino
    assert "cycles/c0003" not in (root / "dvc.lock").read_text(encoding="utf-8")
    store.push()
    assert list((root / ".loopwright/remote/files/md5").iterdir())
    store.close()


def test_a_moved_workspace_finds_its_remote(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    store = fake.make(old, old / ".loopwright" / "remote")
    fake.run_phase(store, old, "c0000", "seed")
    store.push(["seed"])
    store.close()
    old.rename(new)
    store = DvcStore(new)
    store.push(["seed"])
    assert not old.exists()
    assert len(list((new / ".loopwright/remote/files/md5").glob("??/*.dir"))) == 4
    assert "new/.loopwright/dvc" in (new / ".dvc/config.local").read_text(encoding="utf-8")
    store.close()


def test_a_push_copies_once_and_only_what_is_asked_for(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    done = fake.turn(store, root, "c0000")
    remote = root.with_name("lab-remote") / "files/md5"
    store.push(["seed-train", "seed-decide"])
    first = {file: file.stat().st_mtime_ns for file in remote.glob("??/*")}
    assert len(first) == 3  # two files and their directory; the decision is git's
    for file in (root / ".dvc/cache/files/md5").glob("??/*"):
        file.unlink()
    shutil.rmtree(root / "cycles/c0000/model")
    store.pull(["seed-train"])
    assert check(root, fake.artifact("cycles/c0000/model", done["cycles/c0000/model"]), fresh=True)
    store.push(["seed-train"])
    assert {file: file.stat().st_mtime_ns for file in remote.glob("??/*")} == first
    with pytest.raises(WorkspaceError, match="nothing is recorded of train@c0001"):
        store.pull(["train@c0001"])


def test_an_output_that_git_has_is_refused(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    done = fake.turn(store, root, "c0000")
    path = "cycles/c0000/model"
    subprocess.run(["git", "add", "--force", f"{path}/part/shard-00000.parquet"], cwd=root, check=True)
    with pytest.raises(InfraError, match="tracked"):
        store.record("seed-train", {path: done[path]})


# Nothing is hashed twice


def test_no_byte_of_an_output_is_read_twice(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    fake.run_phase(store, root, "c0000", "seed")
    size, count = 3 << 20, 8
    scratch = root / ".loopwright" / "scratch" / "model"
    scratch.mkdir(parents=True)
    for number in range(count):
        (scratch / f"{number}.safetensors").write_bytes(os.urandom(size))
    (root / "cycles/c0000/config/train.json").write_text("{}", encoding="utf-8")
    before = bytes_read()
    sealed = seal(scratch, "model")
    publish(scratch, root / "cycles/c0000/model", sealed)
    store.record("seed-train", {"cycles/c0000/model": sealed})
    check(root, fake.artifact("cycles/c0000/model", sealed))
    assert store.status().get("seed-train@c0000") is None
    store.push(["seed-train"])
    # Once to hash, once to copy to the remote; DVC's own files are the rest.
    assert bytes_read() - before < 2.2 * size * count


def test_human_data_is_not_hashed_again(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    (root / "sources" / "big.jsonl").write_bytes(os.urandom(20 << 20))
    sources = seal(root / "sources", "sources")
    config = root / "cycles/c0000/config/seed.json"
    config.parent.mkdir(parents=True)
    config.write_text("{}", encoding="utf-8")
    done = {}
    for name in fake.FIRST["seed"]:
        scratch = root / ".loopwright" / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        made = fake.work(root, "c0000", name, scratch)
        done[fake.output("c0000", name)] = seal(made, name)
        publish(made, root / fake.output("c0000", name), done[fake.output("c0000", name)])
    before = bytes_read()
    store.record("seed", done, {"sources": sources})
    assert bytes_read() - before < 10 << 20
    assert "sources" in paths(locked(root)["seed@c0000"], "deps")


# Damage


def in_place(file: Path) -> None:
    """As only a careless root can: the cache's object is the same inode, and is damaged with it."""
    file.chmod(0o644)
    with file.open("r+b") as opened:
        opened.write(b"X")


def replaced(file: Path) -> None:
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(b"X" + data[1:])


def test_a_hand_edited_artifact_is_named_and_can_be_brought_back(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    sealed = fake.turn(store, root, "c0000")
    store.push()
    artifact = fake.artifact("cycles/c0000/model", sealed["cycles/c0000/model"])
    for harm in (replaced, in_place, Path.unlink):
        check(root, artifact)
        harm(root / "cycles/c0000/model/part/shard-00000.parquet")
        with pytest.raises(IntegrityError, match=r"^cycles/c0000/model/part/shard-00000.parquet") as caught:
            check(root, artifact)
        command = caught.value.next_step.replace("dvc ", f"{sys.executable} -m dvc ")
        subprocess.run(["bash", "-ec", command], cwd=root, check=True, capture_output=True)
        assert check(root, artifact, fresh=True), harm
        harm(root / "cycles/c0000/model/rows.parquet")
        store.restore(["cycles/c0000/model"])
        assert check(root, artifact, fresh=True), harm
    assert store.status() == {}


def test_a_change_between_sealing_and_recording_is_refused(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    done = fake.run_phase(store, root, "c0000", "seed")
    replaced(root / "cycles/c0000/suites/rows.parquet")
    with pytest.raises(IntegrityError, match="changed after it was sealed"):
        store.record("seed", done)


def test_a_file_that_dvc_would_skip_is_refused(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    with (root / ".dvcignore").open("a", encoding="utf-8") as ignored:
        ignored.write("*.parquet\n")
    with pytest.raises(IntegrityError, match="other files"):
        fake.run_phase(store, root, "c0000", "seed")


def test_outputs_that_dvc_yaml_does_not_declare_are_refused(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    done = fake.run_phase(store, root, "c0000", "seed")
    with pytest.raises(WorkspaceError, match=r"dvc\.yaml declares other outputs"):
        store.record("seed-train", done)
    with pytest.raises(WorkspaceError, match=r"dvc\.yaml declares other outputs"):
        store.record("seed-dance", done)


def test_a_broken_dvc_yaml_is_named(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    (root / "dvc.yaml").write_text("stages: {a: [", encoding="utf-8")
    with pytest.raises(WorkspaceError, match=r"dvc\.yaml cannot be read"):
        store.reload()


def test_another_dvc_command_is_waited_for_and_then_named(lab: tuple[Path, DvcStore], monkeypatch: pytest.MonkeyPatch) -> None:
    root, store = lab
    monkeypatch.setattr("loopwright.store.dvc._PATIENCE", 0.0)
    hold = "import sys, zc.lockfile; lock = zc.lockfile.LockFile(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    lock = root / ".dvc" / "tmp" / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdin
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WorkspaceError, match="another dvc command is at work"):
            store.status()
        other.stdin.close()
    assert store.status() == {}


def test_a_missing_remote_object_is_said(loop: Loop, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    git.clone(loop.root, root)
    (root / ".dvc/config").write_text(
        (root / ".dvc/config").read_text(encoding="utf-8").replace("lab-remote", "elsewhere"), encoding="utf-8"
    )
    store = DvcStore(root)
    with pytest.raises(InfraError, match="dvc pull"):
        store.pull(["train@c0002"])
    store.close()


def test_elsewhere_there_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no DVC project"):
        DvcStore(tmp_path)
    with pytest.raises(WorkspaceError, match="not a git repository"):
        DvcStore.init(tmp_path, tmp_path / "remote")


# Crashes


def killed(work: Callable[[], object]) -> None:
    """Do it in a forked child that dies in the middle, as by the out-of-memory killer."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(70)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


KILLS = {
    "before the rename": "pathlib.Path.rename",
    "after the rename": "loopwright.store.artifacts.sync_directory",
    "before dvc": "loopwright.store.dvc.DvcStore.record",
    "before DVC knows the hashes": "loopwright.store.dvc.DvcStore._tell",
    "before the cache has all": "dvc.output.Output._checkout",
    "before the lock has it": "loopwright.store.lockfile.put",
    "before it is protected": "loopwright.store.dvc._protect",
}


@pytest.mark.parametrize("point", KILLS)
def test_a_kill_leaves_something_to_take_up_or_to_redo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    root = tmp_path / "lab"
    store = fake.make(root)
    fake.run_phase(store, root, "c0000", "seed")
    store.close()

    def work() -> None:
        mine = DvcStore(root)
        monkeypatch.setattr(KILLS[point], die)
        fake.run_phase(mine, root, "c0000", "train")

    killed(work)
    store = DvcStore(root)
    target = root / "cycles/c0000/model"
    found = adopt(target)
    assert (found is None) == (point == "before the rename")
    if found is None:
        shutil.rmtree(root / ".loopwright/scratch/train-c0000")
        fake.run_phase(store, root, "c0000", "train")
    else:
        store.record("seed-train", {"cycles/c0000/model": found})
    assert "seed-train@c0000" not in store.status()
    assert oct(stat.S_IMODE((target / "rows.parquet").stat().st_mode)) == "0o444"
    assert [output.path for output in lockfile.outputs(root, ["seed-train@c0000"])] == ["cycles/c0000/model"]
    store.close()


def test_recording_twice_is_recording_once(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    done = fake.run_phase(store, root, "c0000", "seed")
    before = (root / "dvc.lock").read_bytes()
    store.record("seed", done)
    assert (root / "dvc.lock").read_bytes() == before
    assert store.status().keys().isdisjoint({"seed@c0000"})


def test_equal_files_are_one_object_and_stay_right(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    fake.run_phase(store, root, "c0000", "seed")
    scratch = root / ".loopwright" / "scratch" / "model"
    shutil.copytree(root / "cycles/c0000/suites", scratch)
    (root / "cycles/c0000/config/train.json").write_text("{}", encoding="utf-8")
    sealed = seal(scratch, "model")
    publish(scratch, root / "cycles/c0000/model", sealed)
    store.record("seed-train", {"cycles/c0000/model": sealed})
    store.record("seed-train", {"cycles/c0000/model": sealed})
    assert check(root, fake.artifact("cycles/c0000/model", sealed), fresh=True)
    assert stat.S_IMODE((root / "cycles/c0000/model/rows.parquet").stat().st_mode) == 0o444
    assert store.status().keys().isdisjoint({"seed@c0000", "seed-train@c0000"})


@pytest.mark.parametrize("owner", ["gone", "mine", "another's"])
def test_a_killed_process_does_not_hold_its_outputs_for_ever(lab: tuple[Path, DvcStore], owner: str) -> None:
    root, store = lab
    store.close()
    noted = root / ".dvc" / "tmp" / "rwlock"
    with subprocess.Popen(["sleep", "60"]) as other:
        pid = {"gone": 2**22 - 1, "mine": os.getpid(), "another's": other.pid}[owner]
        entry = {"pid": pid, "cmd": "dvc repro"}
        noted.write_text(json.dumps({"write": {str(root / "cycles/c0000/suites"): entry}}), encoding="utf-8")
        os.utime(noted, (time.time() - 100, time.time() - 100))
        fresh = DvcStore(root)
        fake.run_phase(fresh, root, "c0000", "seed")
        fresh.close()
        other.kill()


def test_a_living_process_keeps_its_outputs(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    store.close()
    with subprocess.Popen(["sleep", "60"]) as other:
        time.sleep(0.1)
        entry = {"write": {str(root / "cycles/c0000/suites"): {"pid": other.pid, "cmd": "dvc repro"}}}
        (root / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(entry), encoding="utf-8")
        fresh = DvcStore(root)
        with pytest.raises(WorkspaceError, match="another dvc command is at work"):
            fake.run_phase(fresh, root, "c0000", "seed")
        fresh.close()
        other.kill()


# Many cycles, the terminal, the template


def test_old_cycles_become_the_past_and_their_rows_stay(lab: tuple[Path, DvcStore], monkeypatch: pytest.MonkeyPatch) -> None:
    root, store = lab
    monkeypatch.setattr("loopwright.store.cycles.KEPT", 1)
    sealed = fake.turn(store, root, "c0000")
    sealed |= fake.turn(store, root, "c0001")
    sealed |= fake.turn(store, root, "c0002", parent="c0000", prev="c0001")
    sealed |= fake.turn(store, root, "c0003", parent="c0002", prev="c0002")
    sealed |= fake.turn(store, root, "c0004", parent="c0002", prev="c0003")
    assert list(read_cycles(root)) == ["c0002", "c0004"]  # c0002 is the champion
    assert read_past(root) == ("c0001", "c0003")
    assert {stage for stage in locked(root) if stage.endswith("@c0001")} == {"past@c0001"}
    assert store.status() == {}
    assert store.stale() == []
    store.push()
    git.clone(root, root.with_name("clone"))
    clone = DvcStore(root.with_name("clone"))
    clone.pull()
    assert clone.status() == {}
    for number in range(5):
        path = f"cycles/c{number:04d}/accepted"
        assert check(root.with_name("clone"), fake.artifact(path, sealed[path]))
    assert not (root.with_name("clone") / "cycles/c0001/model").exists()
    clone.close()


def test_what_is_older_still_is_bound_into_volumes_and_comes_back_in_a_clone(
    lab: tuple[Path, DvcStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's lock stays as long as it is; a volume is written once, also where a kill came before the root let go of it."""
    root, store = lab
    monkeypatch.setattr("loopwright.store.cycles.KEPT", 1)
    monkeypatch.setattr("loopwright.store.volumes.BOUND", 2)
    sealed, stages = fake.turn(store, root, "c0000"), list[set[str]]()
    parents = {1: 0, 2: 0, 3: 2, 4: 2, 5: 2}  # c0002 was promoted
    for number, parent in parents.items():
        if number == 5:
            with monkeypatch.context() as killed:
                killed.setattr("loopwright.store.cycles.part", _at_second(cycles.part))
                with pytest.raises(KeyboardInterrupt):
                    fake.turn(store, root, "c0005", parent="c0002", prev="c0004")
            shutil.rmtree(root / "cycles/c0005", ignore_errors=True)
        sealed |= fake.turn(store, root, cycle_name(number), parent=cycle_name(parent), prev=cycle_name(number - 1))
        stages.append({stage.partition("@")[2] for stage in locked(root)})
    git.commit(root, [lockfile.VOLUMES], "volumes")
    assert [sorted(names) for names in stages[2:]] == [["c0000", "c0003"], ["c0000", "c0003", "c0004"], ["c0000", "c0005"]]
    assert sorted(path.name for path in (root / "past").iterdir()) == ["c0002", "c0004"]
    assert item_of(root, "c0002") == Item(parent="c0000", prev="c0001", seed=2 * 10**17)  # the champion is whole in its volume
    assert store.status() == {}
    assert store.stale() == []
    assert {output.path for output in lockfile.outputs(root, ["train@c0002"])} == {"cycles/c0002/model"}
    store.push()
    git.clone(root, root.with_name("clone"))
    clone = DvcStore(root.with_name("clone"))
    clone.pull()
    assert clone.status() == {}
    for path in (*(f"cycles/c{number:04d}/accepted" for number in range(6)), "cycles/c0002/model", "cycles/c0005/model"):
        assert check(root.with_name("clone"), fake.artifact(path, sealed[path]))
    assert not (root.with_name("clone") / "cycles/c0001/model").exists()
    clone.close()


def _at_second(part: Callable[..., Any]) -> Callable[..., Any]:
    """A kill when the volume has its part and the root is to keep the rest."""
    calls = iter((part, _killed))

    def called(*given: object) -> Any:
        return next(calls)(*given)

    return called


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_recording_leaves_nothing_in_memory(lab: tuple[Path, DvcStore]) -> None:
    root, store = lab
    before = set(MemoryFileSystem.store)
    fake.run_phase(store, root, "c0000", "seed")
    assert set(MemoryFileSystem.store) == before


def test_nothing_is_written_to_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    streams = sys.stdout, sys.stderr
    store = fake.make(tmp_path / "lab")
    fake.turn(store, tmp_path / "lab", "c0000")
    fake.turn(store, tmp_path / "lab", "c0001")  # DVC warns of an empty recipe
    store.push()
    assert store.stale() == []
    store.close()
    assert (sys.stdout, sys.stderr) == streams
    assert capfd.readouterr() == ("", "")


def test_importing_dvc_leaves_the_terminal_alone() -> None:
    code = "import sys; before = sys.stdout; from loopwright.store import dvc; dvc._quiet(); print(sys.stdout is before)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_it_works_from_any_directory(lab: tuple[Path, DvcStore], monkeypatch: pytest.MonkeyPatch) -> None:
    root, store = lab
    monkeypatch.chdir("/")
    fake.turn(store, root, "c0000")
    store.push(["seed-train"])
    store.checkout(["seed-train", "cycles/c0000/suites"])
    assert store.stale() == []
    assert store.status() == {}
    assert not Path("/dvc.lock").exists()


def test_the_repository_itself_is_a_dvc_project(repository: Path) -> None:
    assert "no data or pipelines tracked" in dvc(repository, "status")
    declared = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {name.partition("-")[0] for name in declared} == {"seed", "past", *fake.TURN}


def test_an_existing_configuration_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    store = fake.make(root)
    store.close()
    (root / ".gitignore").write_text("mine", encoding="utf-8")
    config = (root / ".dvc/config").read_bytes()
    (root / ".dvc/config.local").write_text("['remote \"store\"']\n    jobs = 3\n", encoding="utf-8")
    DvcStore.init(root, tmp_path / "another").close()
    assert (root / ".dvc/config").read_bytes() == config
    assert (root / ".gitignore").read_text(encoding="utf-8").startswith("mine\n/.loopwright/\n")
    assert "jobs = 3" in (root / ".dvc/config.local").read_text(encoding="utf-8")
