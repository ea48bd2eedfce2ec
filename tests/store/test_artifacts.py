"""Sealed, described, put in place, checked: and what every kind of damage is called."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from loopwright.errors import InfraError, IntegrityError
from loopwright.store.artifacts import (
    adopt,
    artifact_of,
    check,
    manifest_of,
    publish,
    read_manifest,
    recorded,
    seal,
)
from loopwright.types import Artifact


def make(folder: Path, text: str = "weights") -> Path:
    (folder / "part").mkdir(parents=True)
    (folder / "model.json").write_text("{}", encoding="utf-8")
    (folder / "part" / "shard").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def placed(tmp_path: Path) -> tuple[Path, Artifact]:
    sealed = seal(make(tmp_path / "scratch" / "model"), "model")
    publish(tmp_path / "scratch" / "model", tmp_path / "cycles/c0001/model", sealed)
    return tmp_path, Artifact(kind="model", digest=sealed.manifest.digest, path="cycles/c0001/model")


def test_the_manifest_on_disk_hashes_to_the_digest(placed: tuple[Path, Artifact]) -> None:
    root, artifact = placed
    data = (root / "cycles/c0001/manifests/model.json").read_bytes()
    assert artifact.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert json.loads(data)["files"][1] == {
        "path": "part/shard",
        "sha256": hashlib.sha256(b"weights").hexdigest(),
        "size": 7,
    }
    assert recorded(root, "cycles/c0001/model") == artifact
    assert artifact_of(root, "model", "cycles/c0001/model") == artifact
    assert check(root, artifact).manifest.digest == artifact.digest


def test_a_decision_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "decision.json").write_text("{}", encoding="utf-8")
    sealed = seal(tmp_path / "scratch" / "decision.json", "decision")
    publish(tmp_path / "scratch" / "decision.json", tmp_path / "cycles/c0001/decision.json", sealed)
    assert manifest_of(tmp_path / "cycles/c0001/decision.json") == tmp_path / "cycles/c0001/manifests/decision.json"
    artifact = recorded(tmp_path, "cycles/c0001/decision.json")
    write(tmp_path / artifact.path, "[]")
    with pytest.raises(IntegrityError, match=r"^cycles/c0001/decision.json differs") as caught:
        check(tmp_path, artifact)
    assert caught.value.next_step == "git checkout -- cycles/c0001/decision.json"


def test_publishing_twice_is_publishing_once(placed: tuple[Path, Artifact]) -> None:
    root, artifact = placed
    again = make(root / "scratch" / "model")
    sealed = seal(again, "model")
    publish(again, root / artifact.path, sealed)
    assert not again.exists()
    publish(again, root / artifact.path, sealed)  # a killed run comes back with the source already moved
    assert check(root, artifact, fresh=True)


def test_a_renamed_artifact_is_not_read_again(tmp_path: Path) -> None:
    sealed = seal(make(tmp_path / "scratch" / "model"), "model")
    publish(tmp_path / "scratch" / "model", tmp_path / "cycles/c0001/model", sealed)
    shard = tmp_path / "cycles/c0001/model/part/shard"
    stat = shard.stat()
    write(shard, "WEIGHTS")
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    publish(tmp_path / "scratch" / "model", tmp_path / "cycles/c0001/model", sealed)  # would be refused, were it read


def test_another_content_is_never_overwritten_unless_asked(placed: tuple[Path, Artifact]) -> None:
    root, artifact = placed
    other = make(root / "scratch" / "model", "other weights")
    sealed = seal(other, "model")
    with pytest.raises(IntegrityError, match="already holds something else"):
        publish(other, root / artifact.path, sealed)
    assert check(root, artifact, fresh=True)
    publish(other, root / artifact.path, sealed, replace=True)
    assert recorded(root, artifact.path).digest == sealed.manifest.digest
    assert sorted(path.name for path in (root / "cycles/c0001").iterdir()) == ["manifests", "model"]


def test_only_what_is_complete_is_adopted(placed: tuple[Path, Artifact]) -> None:
    root, artifact = placed
    found = adopt(root / artifact.path)
    assert found
    assert found.manifest.digest == artifact.digest
    (root / artifact.path / "model.json").unlink()
    assert adopt(root / artifact.path) is None
    assert adopt(root / "cycles/c0001/evaluation") is None


def test_a_full_disk_is_named_and_nothing_half_written_is_left(
    placed: tuple[Path, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = placed
    sealed = seal(make(root / "scratch" / "archive", "rows"), "archive")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InfraError, match=r"archive.json cannot be written: No space left on device"):
        publish(root / "scratch" / "archive", root / "cycles/c0001/archive", sealed)
    assert sorted(path.name for path in (root / "cycles/c0001/manifests").iterdir()) == ["model.json"]


def write(file: Path, text: str) -> None:
    file.chmod(0o644)
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(lambda model: write(model / "part/shard", "WEIGHTS"), "model/part/shard differs", id="same size"),
        pytest.param(lambda model: write(model / "part/shard", "weight"), "model/part/shard differs", id="shorter"),
        pytest.param(lambda model: (model / "model.json").unlink(), "model/model.json is missing", id="file gone"),
        pytest.param(lambda model: (model / "extra").touch(), "model/extra is not on record", id="file more"),
        pytest.param(shutil.rmtree, "model is missing", id="all gone"),
    ],
)
def test_damage_is_named_and_so_is_the_way_back(
    placed: tuple[Path, Artifact], change: Callable[[Path], object], named: str
) -> None:
    root, artifact = placed
    check(root, artifact)
    change(root / artifact.path)
    with pytest.raises(IntegrityError) as caught:
        check(root, artifact)
    assert caught.value.message.startswith(f"cycles/c0001/{named}")
    assert caught.value.next_step.startswith(("dvc checkout --force cycles/c0001/model", "dvc pull cycles/c0001/model"))


def test_the_digest_is_enough_where_the_manifest_is_gone(placed: tuple[Path, Artifact]) -> None:
    root, artifact = placed
    manifest_of(root / artifact.path).unlink()
    assert check(root, artifact, fresh=True)
    with pytest.raises(IntegrityError, match="missing"):
        recorded(root, artifact.path)
    write(root / artifact.path / "part/shard", "other")
    with pytest.raises(IntegrityError, match="cycles/c0001/model differs"):
        check(root, artifact)


def test_a_changed_manifest_is_named(placed: tuple[Path, Artifact]) -> None:
    root, artifact = placed
    other = seal(make(root / "scratch" / "model", "other"), "model")
    shutil.rmtree(root / artifact.path)
    publish(root / "scratch" / "model", root / artifact.path, other)
    with pytest.raises(IntegrityError, match=r"^cycles/c0001/manifests/model.json differs from the record"):
        check(root, artifact)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"files":[],"kind":"model"} ',
        b'{"kind":"model","files":[]}',
        b'{"files":[{"path":"../up","sha256":"0","size":1}],"kind":"model"}',
        b'{"files":[{"path":"a","sha256":"0","size":1,"more":2}],"kind":"model"}',
    ],
)
def test_only_the_written_form_is_a_manifest(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.json").write_bytes(data)
    with pytest.raises(IntegrityError):
        read_manifest(tmp_path / "model.json")


def test_forged_times_deceive_the_cache_and_not_a_fresh_check(placed: tuple[Path, Artifact]) -> None:
    root, artifact = placed
    check(root, artifact)
    shard = root / artifact.path / "part/shard"
    stat = shard.stat()
    write(shard, "WEIGHTS")
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert check(root, artifact)
    with pytest.raises(IntegrityError, match="part/shard"):
        check(root, artifact, fresh=True)
