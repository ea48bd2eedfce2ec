"""Offline verification: a sound workspace has no findings, and every way of tampering has one that names the place."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loopwright.errors import IntegrityError, WorkspaceError
from loopwright.ledger import signatures
from loopwright.ledger.audit import audit
from loopwright.ledger.inspection import inspect
from loopwright.ledger.keys import key_path, load_key, public_bytes
from loopwright.ledger.ledger import Draft
from loopwright.ledger.merkle import leaf_hash, root_of
from loopwright.ledger.note import Checkpoint, checkpoint_text, sign_note
from loopwright.ledger.principals import enrolled, principal_id
from loopwright.ledger.publication import publish
from loopwright.ledger.statement import pae, payload_of, read_statement, seal, unseal
from loopwright.ledger.tiles import read_entries
from loopwright.ledger.verify import Report, verify
from loopwright.types import Artifact, digest_bytes
from tests.ledger.workshop import Workshop, closing, digest, opening, working

PHASES = ("seed", "train", "evaluate", "decide")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A workspace of two cycles; copied before it is tampered with."""
    folder = tmp_path_factory.mktemp("sound")
    workshop = Workshop(folder / "workspace", folder / "keys")
    workshop.cycle("c0000", PHASES)
    workshop.cycle("c0001", ("generate", "verify", "merge", "train", "decide"), fence=2, parent="c0000", prev="c0000")
    workshop.ledger.close()
    return workshop


class Tamperer:
    """Someone who may change every file of a workspace, and has stolen the keys that a test lets them use."""

    def __init__(self, root: Path, keys: Path) -> None:
        self.root, self.keys = root, keys / "bench"
        self.folder = root / "ledger"
        self.entries = read_entries(self.folder)

    def said(self, kind: str, predicate: Mapping[str, Any], role: str) -> bytes:
        """A statement with a valid signature of this role, whatever it may sign."""
        key = load_key(key_path(self.keys, role))
        payload = payload_of(kind, [], predicate)
        return seal(payload, principal_id(public_bytes(key)), key.sign(pae(payload)))

    def publish(self, entries: Sequence[bytes], *, resign: bool = False) -> None:
        """Make the files those of a log of these entries; with the stolen log key, checkpoints and all."""
        log = _Entries(entries)
        shutil.rmtree(self.folder / "tile")
        publish(self.folder, len(entries), {}, log)
        (self.root / ".loopwright").exists() and shutil.rmtree(self.root / ".loopwright")
        if resign:
            shutil.rmtree(self.folder / "checkpoints")
            self.checkpoint(entries)

    def checkpoint(self, entries: Sequence[bytes]) -> None:
        [holder] = (one for one in enrolled(read_statement(self.entries[0], 0).predicate).values() if one.role == "log")
        root = root_of([leaf_hash(entry) for entry in entries])
        text = checkpoint_text(Checkpoint(origin="loopwright/bench", size=len(entries), root=root))
        note = sign_note(text, "loopwright/bench", holder, load_key(key_path(self.keys, "log")).sign(text.encode()))
        (self.folder / "checkpoints").mkdir(exist_ok=True)
        (self.folder / "checkpoints" / str(len(entries))).write_text(note)
        (self.folder / "checkpoint").write_text(note)

    def codes(self) -> set[str]:
        return {finding.code for finding in inspect(self.root).findings}

    def places(self) -> dict[str, str]:
        return {finding.where: finding.code for finding in inspect(self.root).findings}


class _Entries:
    """A log in memory, to be published."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.all = list(entries)

    def envelopes(self, start: int, stop: int) -> Sequence[bytes]:
        return self.all[start:stop]

    def hashes(self, start: int, stop: int) -> Sequence[bytes]:
        return [leaf_hash(entry) for entry in self.all[start:stop]]


@pytest.fixture
def tamperer(sound: Workshop, tmp_path: Path) -> Tamperer:
    shutil.copytree(sound.root, tmp_path / "workspace")
    return Tamperer(tmp_path / "workspace", sound.keys)


def edited(entry: bytes, **changes: Any) -> bytes:
    """The entry with another predicate under its old signature."""
    envelope = unseal(entry)
    value = json.loads(envelope.payload)
    payload = payload_of(value["predicateType"].split(":")[2], [], {**value["predicate"], **changes})
    return seal(payload, envelope.keyid, envelope.signature)


def test_a_sound_workspace_has_no_findings_and_says_what_was_checked(sound: Workshop) -> None:
    report = verify(sound.root)
    assert report == Report(
        workspace="bench", findings=(), leaves=14, covered=14, checkpoints=3, artifacts=12, files=12, objects=0, absent=0
    )
    assert report.ok


def test_what_was_never_pulled_is_counted_and_not_held_against_anyone(tamperer: Tamperer) -> None:
    shutil.rmtree(tamperer.root / "cycles" / "c0000" / "model")
    shutil.rmtree(tamperer.root / ".loopwright")
    report = verify(tamperer.root)
    assert (report.ok, report.absent, report.files) == (True, 1, 11)


def test_a_folder_without_a_ledger_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="has no ledger"):
        verify(tmp_path)


# --- an outsider, who has no key ---------------------------------------------------------------------------------------


def test_an_edited_entry(tamperer: Tamperer) -> None:
    entries = tamperer.entries
    tamperer.publish([*entries[:6], edited(entries[6], action="hold"), *entries[7:]])
    assert tamperer.places()["ledger entry 6"] == "signature-invalid"
    assert tamperer.codes() >= {"signature-invalid", "root-differs"}


def test_a_deleted_entry(tamperer: Tamperer) -> None:
    tamperer.publish([*tamperer.entries[:9], *tamperer.entries[10:]])
    assert tamperer.places() == {"ledger/checkpoint": "entries-missing"}


def test_a_deleted_entry_before_an_older_checkpoint(tamperer: Tamperer) -> None:
    tamperer.publish([*tamperer.entries[:4], *tamperer.entries[5:]])
    assert tamperer.places()["ledger/checkpoints/7"] == "root-differs"


def test_swapped_entries(tamperer: Tamperer) -> None:
    entries = list(tamperer.entries)
    entries[9], entries[10] = entries[10], entries[9]
    tamperer.publish(entries)
    assert tamperer.codes() == {"root-differs"}


def test_a_cut_log(tamperer: Tamperer) -> None:
    tamperer.publish(tamperer.entries[:10])
    assert tamperer.codes() == {"entries-missing"}


def test_a_cut_log_with_its_later_checkpoints_removed_shows_against_the_database(tamperer: Tamperer) -> None:
    shutil.copytree(tamperer.root / ".loopwright", tamperer.root / "kept")
    tamperer.publish(tamperer.entries[:7])
    (tamperer.folder / "checkpoints" / "14").unlink()
    shutil.copy(tamperer.folder / "checkpoints" / "7", tamperer.folder / "checkpoint")
    assert tamperer.codes() == set()  # what nobody kept, nobody can miss: hence checkpoints in other hands
    (tamperer.root / "kept").rename(tamperer.root / ".loopwright")
    assert tamperer.codes() == {"unpublished"}


def test_a_swapped_signature(tamperer: Tamperer) -> None:
    entries, donor = list(tamperer.entries), unseal(tamperer.entries[1])
    victim = unseal(entries[6])
    entries[6] = seal(victim.payload, victim.keyid, donor.signature)
    tamperer.publish(entries)
    assert tamperer.places()["ledger entry 6"] == "signature-invalid"


@pytest.mark.parametrize("at", [0, 3, 13])
def test_an_entry_that_is_not_one(tamperer: Tamperer, at: int) -> None:
    tamperer.publish([*tamperer.entries[:at], b"{}", *tamperer.entries[at + 1 :]])
    assert tamperer.places()[f"ledger entry {at}"] in {"entry-unreadable", "genesis-invalid"}


def test_another_spelling_of_the_same_entry(tamperer: Tamperer) -> None:
    spelled = json.dumps(json.loads(tamperer.entries[5])).encode()
    tamperer.publish([*tamperer.entries[:5], spelled, *tamperer.entries[6:]])
    assert tamperer.places()["ledger entry 5"] == "entry-unreadable"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("keys.json", "keys-differ"),
        ("checkpoint", "checkpoint-invalid"),
        ("checkpoints/7", "checkpoint-invalid"),
        ("tile/0/000.p/14", "tile-differs"),
    ],
)  # fmt: skip
def test_a_changed_file_beside_the_entries(tamperer: Tamperer, name: str, code: str) -> None:
    data = bytearray((tamperer.folder / name).read_bytes())
    data[-5] ^= 1
    (tamperer.folder / name).write_bytes(data)
    assert tamperer.places() == {f"ledger/{name}": code}


@pytest.mark.parametrize("name", ["keys.json", "checkpoint", "tile/0/000.p/14", "tile/entries/000.p/14"])
def test_a_removed_file(tamperer: Tamperer, name: str) -> None:
    (tamperer.folder / name).unlink()
    assert tamperer.codes() & {"keys-differ", "checkpoint-invalid", "tile-missing", "entries-missing"}


def test_files_that_are_no_part_of_the_log(tamperer: Tamperer) -> None:
    (tamperer.folder / "tile/0/000.p/15").write_bytes(bytes(32 * 15))
    (tamperer.folder / "tile/readme").write_text("hello")
    (tamperer.folder / "tile/7").mkdir()
    (tamperer.folder / "tile/7/000").write_bytes(b"")
    assert tamperer.places() == {
        "ledger/tile/0/000.p/15": "tile-beyond",
        "ledger/tile/readme": "tile-unknown",
        "ledger/tile/7/000": "tile-beyond",
    }


def test_an_old_checkpoint_in_the_place_of_the_latest(tamperer: Tamperer) -> None:
    shutil.copy(tamperer.folder / "checkpoints" / "7", tamperer.folder / "checkpoint")
    assert tamperer.places() == {"ledger/checkpoint": "checkpoint-not-latest"}


def test_a_checkpoint_under_another_size(tamperer: Tamperer) -> None:
    (tamperer.folder / "checkpoints" / "7").rename(tamperer.folder / "checkpoints" / "8")
    assert tamperer.places() == {"ledger/checkpoints/8": "checkpoint-invalid"}


def test_a_database_that_says_something_else(tamperer: Tamperer) -> None:
    path = tamperer.root / ".loopwright" / "state.db"
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER log_leaf_update")
        connection.execute("UPDATE log_leaf SET envelope = ? WHERE idx = 4", (b"{}",))
    connection.close()
    assert tamperer.places() == {".loopwright/state.db": "database-differs"}
    path.write_bytes(b"no database" * 1000)
    assert tamperer.places() == {".loopwright/state.db": "database-unreadable"}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_flipped_bit_of_the_published_log_is_found(sound: Workshop, data: st.DataObject) -> None:
    files = sorted(path for path in sound.published.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    try:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        places = {finding.where for finding in audit(sound.published).findings}
        name = f"ledger/{path.relative_to(sound.published).as_posix()}"
        assert any(where == name or where.startswith("ledger entry") for where in places), (name, at, bit)
    finally:
        path.write_bytes(whole)


# --- insiders, who have stolen keys ------------------------------------------------------------------------------------


def phase(cycle: str, name: str, event: str, **changes: Any) -> dict[str, Any]:
    return {**working(cycle, name, digest("config"), [], {}), "event": event, **changes}


@pytest.mark.parametrize(
    ("kind", "role", "predicate", "code"),
    [
        ("phase", "generator", phase("c0002", "decide", "e"), "role-refused"),
        ("phase", "trainer", phase("c0002", "evaluate", "e"), "role-refused"),
        ("approval", "controller", {"event": "e"}, "role-refused"),
        ("close", "log", {**closing("c0002"), "event": "e"}, "role-refused"),
        ("phase", "evaluator", phase("c0001", "evaluate", "e"), "order"),
        ("phase", "trainer", phase("c0002", "train", "e", attempt="1"), "entry-unreadable"),
        ("phase", "trainer", phase("c0002", "train", "open:c0002"), "event-repeated"),
        ("open", "controller", {**opening("c0003", fence=3), "event": "e"}, "order"),
        ("genesis", "controller", {"event": "e"}, "entry-unreadable"),
        ("rollback", "controller", {"cycle": "c0009", "event": "e"}, "order"),
        (
            "phase", "trainer",
            phase("c0002", "train", "e", inputs=[{"name": "model", "path": "cycles/c0000/model", "digest": digest("x")}]),
            "input-differs",
        ),
    ],
)  # fmt: skip
def test_what_a_stolen_key_cannot_hide(tamperer: Tamperer, kind: str, role: str, predicate: dict[str, Any], code: str) -> None:
    """Even with the log's key stolen too, so that tree and checkpoints fit."""
    begun = [*tamperer.entries, tamperer.said("open", {**opening("c0002", fence=2), "event": "open:c0002"}, "controller")]
    tamperer.publish(begun, resign=True)
    assert tamperer.codes() == set()
    tamperer.publish([*begun, tamperer.said(kind, predicate, role)], resign=True)
    assert tamperer.places()["ledger entry 15"] == code


def test_a_driver_that_had_lost_its_lease(tamperer: Tamperer) -> None:
    late = tamperer.said("open", {**opening("c0002", fence=1), "event": "open:c0002"}, "controller")
    tamperer.publish([*tamperer.entries, late], resign=True)
    assert tamperer.places() == {"ledger entry 14": "fence-went-back"}


def test_a_key_that_nobody_enrolled(tamperer: Tamperer, tmp_path: Path) -> None:
    other = Workshop(tmp_path / "other", tmp_path / "otherkeys")
    other.ledger.close()
    stranger = Tamperer(other.root, other.keys)
    begun = stranger.said("open", {**opening("c0002", fence=2), "event": "open:c0002"}, "controller")
    tamperer.publish([*tamperer.entries, begun], resign=True)
    assert tamperer.places() == {"ledger entry 14": "signer-unknown"}


def test_an_entry_told_twice(tamperer: Tamperer) -> None:
    tamperer.publish([*tamperer.entries[:12], tamperer.entries[11], *tamperer.entries[12:]], resign=True)
    assert {"event-repeated", "attempt-repeated"} <= tamperer.codes()


def test_a_checkpoint_of_another_log(tamperer: Tamperer) -> None:
    path = tamperer.folder / "checkpoints" / "7"
    [holder] = (one for one in enrolled(read_statement(tamperer.entries[0], 0).predicate).values() if one.role == "log")
    text = path.read_text().partition("\n\n")[0].replace("loopwright/bench", "loopwright/other") + "\n"
    signature = load_key(key_path(tamperer.keys, "log")).sign(text.encode())
    path.write_text(sign_note(text, "loopwright/other", holder, signature))
    assert tamperer.places() == {"ledger/checkpoints/7": "checkpoint-invalid"}


# --- artifacts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("cycles/c0000/model/data.bin", "artifact-edited"),
        ("cycles/c0001/decision.json", "artifact-edited"),
        ("cycles/c0001/manifests/model.json", "manifest-differs"),
        ("cycles/c0001/config/train.json", "file-differs"),
    ],
)
def test_an_edited_file_is_named(tamperer: Tamperer, name: str, code: str) -> None:
    (tamperer.root / name).write_bytes((tamperer.root / name).read_bytes() + b" ")
    assert tamperer.places() == {name: code}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("cycles/c0000/model/data.bin", "artifact-incomplete"),
        ("cycles/c0001/manifests/model.json", "manifest-missing"),
        ("cycles/c0001/config/train.json", "file-missing"),
    ],
)
def test_a_removed_file_is_named(tamperer: Tamperer, name: str, code: str) -> None:
    (tamperer.root / name).unlink()
    assert tamperer.places() == {name: code}


def test_a_file_that_does_not_belong_is_named(tamperer: Tamperer) -> None:
    (tamperer.root / "cycles/c0000/model/more.bin").write_bytes(b"more")
    assert tamperer.places() == {"cycles/c0000/model/more.bin": "artifact-extra"}


def test_a_recipe_that_was_changed_after_it_was_used(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "w", tmp_path / "k")
    file = workshop.root / "recipes" / "faster.diff"
    file.parent.mkdir()
    file.write_text("+ lr: 2\n")
    workshop.open(recipe={"path": "recipes/faster.diff", "digest": digest_bytes(file.read_bytes()), "approval": 0})
    workshop.ledger.sign_checkpoint()
    assert verify(workshop.root).ok
    file.write_text("+ lr: 3\n")
    assert [(one.where, one.code) for one in verify(workshop.root).findings] == [("recipes/faster.diff", "file-differs")]
    workshop.ledger.close()


def test_a_manifest_that_points_outside_is_refused(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "w", tmp_path / "k")
    workshop.open()
    manifest = b'{"files":[{"path":"../../../keys","sha256":"00","size":1}],"kind":"model"}'
    (workshop.root / "cycles/c0000/manifests").mkdir(parents=True)
    (workshop.root / "cycles/c0000/manifests/model.json").write_bytes(manifest)
    (workshop.root / "cycles/c0000/config").mkdir()
    (workshop.root / "cycles/c0000/config/train.json").write_bytes(b"{}")
    model = Artifact(kind="model", digest=digest_bytes(manifest), path="cycles/c0000/model")
    said = working("c0000", "train", digest_bytes(b"{}"), [model], {})
    workshop.ledger.append("phase", [model], said, role="trainer", event="e")
    workshop.ledger.sign_checkpoint()
    assert [(one.where, one.code) for one in verify(workshop.root).findings] == [
        ("cycles/c0000/manifests/model.json", "manifest-differs")
    ]
    workshop.ledger.close()


# --- DVC's objects, made by DVC itself ---------------------------------------------------------------------------------

STAGES = """
stages:
  train:
    cmd: "true"
    outs: [cycles/c0000/model, cycles/c0000/archive]
  decide:
    cmd: "true"
    outs: [{cycles/c0000/decision.json: {cache: false}}]
"""


@pytest.fixture(scope="module")
def versioned(sound: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound workspace under DVC."""
    root = tmp_path_factory.mktemp("versioned") / "workspace"
    shutil.copytree(sound.root, root)
    (root / "dvc.yaml").write_text(STAGES)
    code = "import sys; from dvc.cli import main; sys.exit(main(sys.argv[1:]))"
    for command in (["init", "--no-scm", "-q"], ["commit", "-f", "-q"]):
        subprocess.run([sys.executable, "-c", code, *command], cwd=root, check=True)
    return root


@pytest.fixture
def under_dvc(versioned: Path, sound: Workshop, tmp_path: Path) -> Tamperer:
    shutil.copytree(versioned, tmp_path / "workspace")
    return Tamperer(tmp_path / "workspace", sound.keys)


def objects(root: Path) -> dict[str, Path]:
    """DVC's objects by their content."""
    cache = root / ".dvc" / "cache" / "files" / "md5"
    return {path.read_text(): path for path in cache.rglob("*") if path.is_file()}


def test_objects_of_dvc_are_checked(under_dvc: Tamperer) -> None:
    report = verify(under_dvc.root)
    assert (report.findings, report.objects, report.absent) == ((), 4, 1)  # two listings and a file in each; no decision


def test_a_cache_that_was_never_filled_is_counted(under_dvc: Tamperer) -> None:
    shutil.rmtree(under_dvc.root / ".dvc" / "cache" / "files" / "md5")
    (under_dvc.root / ".dvc" / "cache" / "files" / "md5").mkdir()
    report = verify(under_dvc.root)
    assert (report.ok, report.objects, report.absent) == (True, 0, 3)


def spoil(path: Path, data: bytes | None) -> None:
    path.chmod(0o644)
    path.unlink()
    if data is not None:
        path.write_bytes(data)


LOCKS = ("dvc.lock", "past/c0200/dvc.lock")


def bound(root: Path, place: str) -> Path:
    """The lock, in the root or, as an old cycle's is, in a volume."""
    lock = root / place
    lock.parent.mkdir(parents=True, exist_ok=True)
    return (root / "dvc.lock").rename(lock)


@pytest.mark.parametrize(
    ("which", "how", "code"),
    [
        ("c0000 model", lambda data: data + b" ", "dvc-object-damaged"),
        ("c0000 model", lambda data: None, "dvc-object-missing"),
        ("relpath", lambda data: data + b" ", "dvc-object-damaged"),
    ],
)
def test_a_spoiled_object_is_named(under_dvc: Tamperer, which: str, how: Callable[[bytes], bytes | None], code: str) -> None:
    path = next(path for content, path in objects(under_dvc.root).items() if which in content)
    spoil(path, how(path.read_bytes()))
    assert under_dvc.places() == {path.relative_to(under_dvc.root).as_posix(): code}


@pytest.mark.parametrize("place", LOCKS)
def test_objects_that_are_others_than_recorded_are_found_though_their_names_fit(under_dvc: Tamperer, place: str) -> None:
    """Someone versions other bytes by DVC: every md5 is right, and the record says otherwise."""
    lock = bound(under_dvc.root, place)
    listings = {
        path.parent.name + path.name: content for content, path in objects(under_dvc.root).items() if "relpath" in content
    }
    first, second = listings
    text = lock.read_text().replace(first, "first").replace(second, first).replace("first", second)
    lock.write_text(text)
    assert set(under_dvc.places().values()) == {"dvc-differs"}


@pytest.mark.parametrize("place", LOCKS)
def test_a_lock_file_that_is_none_is_named(under_dvc: Tamperer, place: str) -> None:
    bound(under_dvc.root, place).write_text("stages: [")
    assert under_dvc.places() == {place: "dvc-lock-unreadable"}


def test_verification_loads_little_and_no_dvc(repository: Path) -> None:
    code = "import sys, loopwright.ledger.verify; print(*sorted(sys.modules))"
    loaded = set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert not {name.partition(".")[0] for name in loaded} & {"dvc", "dvc_data", "sqlalchemy", "psutil", "torch", "pydantic"}
    ours = [name for name in loaded if name.startswith("loopwright")]
    assert not {"loopwright.ledger.keys", "loopwright.ledger.signer", "loopwright.ledger.storage"} & set(ours)
    paths = [repository / "src" / Path(*name.split(".")) for name in ours]
    sources = [path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in paths]
    assert sum(len(path.read_text().splitlines()) for path in sources) <= 2600


# --- long logs ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A log of several bundles, whose signatures are checked in processes."""
    folder = tmp_path_factory.mktemp("long")
    workshop = Workshop(folder / "workspace", folder / "keys")
    for _ in range(2):
        workshop.approve_many(300)
    workshop.ledger.append_many(
        [Draft(kind="approval", predicate={}, role="person", event=f"more:{number}") for number in range(300)]
    )
    workshop.ledger.sign_checkpoint()
    workshop.ledger.close()
    return workshop


def everything(root: Path) -> list[tuple[str, str]]:
    return sorted((finding.where, finding.code) for finding in audit(root / "ledger").findings)


@pytest.mark.parametrize("at", [0, 256, 600])
def test_processes_find_what_one_process_finds(
    long: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    shutil.copytree(long.root, tmp_path / "workspace")
    tamperer = Tamperer(tmp_path / "workspace", long.keys)
    assert everything(tamperer.root) == []
    entries = list(tamperer.entries)
    envelope = unseal(entries[at])
    for signature in (unseal(entries[at - 1]).signature, b"short"):
        entries[at] = seal(envelope.payload, envelope.keyid, signature)
        tamperer.publish(entries)
        alone = everything(tamperer.root)
        assert (f"ledger entry {at}", "signature-invalid") in alone
        with monkeypatch.context() as many:
            many.setattr(signatures, "_MANY", 10)
            many.setattr(signatures, "_BATCH", 70)
            assert everything(tamperer.root) == alone
    assert {finding.code for finding in audit(tamperer.folder, tree_only=True).findings} - {"signature-invalid"} == {
        "root-differs"
    }


def test_a_damaged_bundle_in_the_middle_does_not_hide_what_comes_before_it(long: Workshop, tmp_path: Path) -> None:
    shutil.copytree(long.root, tmp_path / "workspace")
    tamperer = Tamperer(tmp_path / "workspace", long.keys)
    entries = list(tamperer.entries)
    entries[7] = edited(entries[7], number=99)
    tamperer.publish(entries)
    bundle = tamperer.folder / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes()[:-1])
    found = everything(tamperer.root)
    assert ("ledger entry 7", "signature-invalid") in found
    assert ("ledger/tile/entries/001", "bundle-damaged") in found


def test_what_was_audited_is_what_is_read(long: Workshop, tmp_path: Path) -> None:
    shutil.copytree(long.root, tmp_path / "workspace")
    folder = tmp_path / "workspace" / "ledger"
    log = audit(folder)
    assert [one.index for one in log.statements] == list(range(601))
    assert [one.index for one in log.statements[598:]] == [598, 599, 600]
    assert log.entries[-1] == list(log.entries)[600]
    bundle = folder / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b"eyJ", b"eyK", 1))
    with pytest.raises(IntegrityError, match="changed while it was read"):
        list(log.statements)


def test_a_tree_alone_is_checked_whoever_the_logs_key_is(long: Workshop, tmp_path: Path) -> None:
    log = audit(long.published, tree_only=True)
    assert (log.findings, log.covered, len(log.statements)) == ((), 601, 1)
