"""A workspace that a real loop has turned: DVC, git, ledger and files say the same, and each brings the others back."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from loopwright.errors import IntegrityError
from loopwright.ledger.verify import verify
from loopwright.replay import replay
from loopwright.store.artifacts import check
from loopwright.store.dvc import DvcStore
from loopwright.store.hashing import measure
from loopwright.types import Artifact
from loopwright.workspace import Workspace
from tests.run.small import make_small

DVC = str(Path(sys.executable).with_name("dvc"))


def run(*command: str, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory, victim: Callable[..., dict[str, Any]]) -> Workspace:
    """c0000, c0001 and c0002 of a small loop."""
    workspace = make_small(tmp_path_factory.mktemp("turned") / "lab")
    assert victim(workspace.root, 2)["code"] == 0
    return workspace


def test_dvc_has_nothing_to_do(turned: Workspace) -> None:
    assert json.loads(run(DVC, "status", "--json", cwd=turned.root)) == {}
    assert "Running stage" not in run(DVC, "repro", "--dry", cwd=turned.root)
    assert run("git", "status", "--porcelain", cwd=turned.root) == ""


def test_the_record_is_whole(turned: Workspace) -> None:
    assert verify(turned.root).findings == ()


def test_each_stages_dependencies_are_the_inputs_of_its_statement(turned: Workspace) -> None:
    locked = yaml.safe_load((turned.root / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    seen = 0
    for record in turned.state().cycles.values():
        for phase, done in record.phases.items():
            name = f"{phase}@{record.cycle}" if record.prev else f"seed{'' if phase == 'seed' else '-' + phase}@c0000"
            deps = {dep["path"] for dep in locked[name]["deps"]}
            assert deps == {f"cycles/{record.cycle}/config/{phase}.json", *(one["path"] for one in done.inputs)}
            assert {out["path"] for out in locked[name]["outs"]} == {item.path for item in done.artifacts}
            seen += 1
    assert seen == 5 + 7 + 7


def test_a_decision_is_about_the_cycle_before_and_the_champion(turned: Workspace) -> None:
    record = turned.state().cycles["c0002"]
    assert record.prev == "c0001"
    assert record.parent == turned.state().cycles["c0001"].champion_after
    assert record.commit == run("git", "rev-parse", "HEAD~1", cwd=turned.root).strip()


def test_cycles_sample_anew(turned: Workspace) -> None:
    first, second = (turned.state().cycles[name] for name in ("c0001", "c0002"))
    assert first.seed != second.seed
    assert first.phases["generate"].key != second.phases["generate"].key
    assert first.artifact("proposals") != second.artifact("proposals")


def test_rows_stay_in_the_archive_after_a_reject(turned: Workspace) -> None:
    cycles = turned.state().cycles
    rows = [cycles[name].phases["merge"].summary["synthetic"] for name in ("c0001", "c0002")]
    assert cycles["c0001"].action == "reject"
    assert 0 < rows[0] < rows[1]


def test_outputs_are_read_only_and_every_cache_file_hashes_to_its_name(turned: Workspace) -> None:
    for path in turned.root.glob("cycles/*/model/*"):
        assert path.stat().st_mode & 0o222 == 0
    objects = [path for path in (turned.root / ".dvc/cache/files/md5").glob("??/*") if path.is_file()]
    assert len(objects) > 20
    for path in objects:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        assert digest == (path.parent.name + path.name).removesuffix(".dir")


def test_a_clone_gets_any_cycles_model_back_by_digest_and_repeats_its_phases(turned: Workspace, tmp_path: Path) -> None:
    store = DvcStore(turned.root)
    store.push()
    store.close()
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(turned.root), str(clone), cwd=tmp_path)
    run(DVC, "pull", "-q", cwd=clone)
    cycles = turned.state().cycles
    for record in cycles.values():
        model = record.artifact("model")
        assert model is not None
        assert measure(clone / model.path, "model").manifest.digest == model.digest
    environment_path = str(Path(sys.executable).parent)
    for phase in ("generate", "verify", "evaluate"):
        command = f"PATH={environment_path}:$PATH {DVC} repro -q -f -s {phase}@c0002"
        subprocess.run(["sh", "-c", command], cwd=clone, check=True)
    assert run("git", "diff", "--stat", "dvc.lock", cwd=clone) == ""
    for kind in ("proposals", "accepted", "evaluation"):
        artifact = cycles["c0002"].artifact(kind)
        assert artifact is not None
        assert measure(clone / artifact.path, kind).manifest.digest == artifact.digest


def test_training_replays_bit_for_bit(turned: Workspace) -> None:
    recorded = turned.state().cycles["c0001"].artifact("model")
    assert recorded is not None
    replay(turned.root, "train", "c0001")
    check(turned.root, recorded)
    store = DvcStore(turned.root)
    store.checkout()
    store.close()


def test_one_changed_byte_makes_exactly_the_downstream_stages_stale(turned: Workspace) -> None:
    path = turned.root / "cycles/c0001/accepted/rows.parquet"
    original = path.read_bytes()
    path.unlink()  # a new file, as an editor would write it: the cache's own stays whole
    path.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
    store = DvcStore(turned.root)
    try:
        stale = {stage.rpartition(":")[2] for stage in store.stale()}
    finally:
        store.checkout()
        store.close()
    behind = ("train", "evaluate", "examine", "decide")
    later = {f"{phase}@c0002" for phase in ("generate", "verify", "merge", *behind)}
    assert "verify@c0001" in stale
    assert "merge@c0001" in stale
    assert stale <= {"verify@c0001", "merge@c0001", *(f"{phase}@c0001" for phase in behind)} | later
    assert not stale & {"generate@c0001", "seed@c0000", "seed-train@c0000"}


@pytest.mark.parametrize("kind", ["model", "evaluation"])
def test_a_hand_edited_artifact_is_named(turned: Workspace, kind: str) -> None:
    artifact = turned.state().cycles["c0001"].artifact(kind)
    assert isinstance(artifact, Artifact)
    path = next(path for path in sorted((turned.root / artifact.path).iterdir()) if path.suffix in {".safetensors", ".parquet"})
    original = path.read_bytes()
    path.unlink()
    path.write_bytes(original[:100] + b"X" + original[101:])
    try:
        with pytest.raises(IntegrityError, match=path.name) as caught:
            check(turned.root, artifact)
        assert "dvc" in caught.value.next_step
        assert any(path.name in found.where or path.name in found.message for found in verify(turned.root).findings)
    finally:
        store = DvcStore(turned.root)
        store.checkout()
        store.close()
    check(turned.root, artifact)
