"""The tamper matrix: every way of tampering, through the command line, by whom, and what tells it.

An outsider may change every file. An insider has the service's keys as well, the log's among them. What an insider does can be free of
any fault: then a witness, or a checkpoint that the reader kept, tells it, and nothing else does. The table is in docs/proof.md.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loopwright.ledger import Ledger
from loopwright.ledger.acts import request_id
from loopwright.ledger.keys import public_bytes
from loopwright.ledger.merkle import leaf_hash, root_of
from loopwright.ledger.note import Checkpoint, checkpoint_text, sign_note
from loopwright.ledger.principals import enrolled, principal_id
from loopwright.ledger.publication import publish
from loopwright.ledger.signer import LocalSigner
from loopwright.ledger.statement import pae, payload_of, read_statement, seal, unseal
from loopwright.ledger.tiles import read_entries
from tests.ledger.outside import Done, loopwright, stolen, told, witness
from tests.ledger.workshop import TIME, Workshop, digest

ASKED = {
    "action": "promote",
    "details": {},
    "evidence": [],
    "policy": digest("policy"),
    "proposer": "nobody",
    "nonce": "1",
    "checkpoint": {"size": 1, "root": "x"},
    "workspace": "bench",
    "quorum": {"persons": 1, "duties": []},
    "launchers": [],
    "requested_at": TIME,
    "expires_at": TIME,
    "by": "run",
}


class Scene:
    """A copy of a workspace whose log a witness has cosigned, in the hands of who tampers."""

    def __init__(self, sound: Scene | None, folder: Path) -> None:
        self.folder, self.root, self.keys = folder, folder / "lab", folder / "keys"
        if sound:
            shutil.copytree(sound.folder, folder, dirs_exist_ok=True)
        self.ledger = self.root / "ledger"

    @property
    def entries(self) -> list[bytes]:
        return read_entries(self.ledger)

    def said(self, kind: str, predicate: Mapping[str, Any], role: str) -> bytes:
        """A statement that is validly signed by a stolen key."""
        key = stolen(self.keys / "bench", role, self.entries[0])
        payload = payload_of(kind, [read_statement(self.entries[1], 1).subjects[0]], predicate)
        return seal(payload, principal_id(public_bytes(key)), key.sign(pae(payload)))

    def put(self, entries: Sequence[bytes], *, resign: bool = False, notes: Mapping[int, str] | None = None) -> None:
        """Make the published files those of these entries, and forget the database; with the log's key, its checkpoint too."""
        log = _Log(entries)
        shutil.rmtree(self.ledger / "tile")
        shutil.rmtree(self.root / ".loopwright", ignore_errors=True)
        publish(self.ledger, len(entries), notes or {}, log)
        if resign:
            shutil.rmtree(self.ledger / "checkpoints")
            self.sign(entries)

    def sign(self, entries: Sequence[bytes]) -> None:
        genesis = read_statement(entries[0], 0).predicate
        [holder] = (one for one in enrolled(genesis).values() if one.role == "log")
        text = checkpoint_text(Checkpoint(origin="loopwright/bench", size=len(entries), root=root_of(log_hashes(entries))))
        note = sign_note(text, "loopwright/bench", holder, stolen(self.keys / "bench", "log", entries[0]).sign(text.encode()))
        (self.ledger / "checkpoints").mkdir(exist_ok=True)
        for name in ("checkpoint", f"checkpoints/{len(entries)}"):
            (self.ledger / name).write_text(note)

    def go_on(self, cycle: str) -> None:
        """Another cycle, honestly."""
        ledger = Workshop.__new__(Workshop)
        ledger.root, ledger.keys, ledger.signer = self.root, self.keys, LocalSigner
        ledger.ledger = Ledger.open(self.root, self.keys, signer=LocalSigner)
        ledger.cycle(cycle, ("decide",), fence=9, parent="c0001", prev="c0001")
        ledger.ledger.close()


class _Log:
    def __init__(self, entries: Sequence[bytes]) -> None:
        self.all = list(entries)

    def envelopes(self, start: int, stop: int) -> Sequence[bytes]:
        return self.all[start:stop]

    def hashes(self, start: int, stop: int) -> Sequence[bytes]:
        return log_hashes(self.all[start:stop])


def log_hashes(entries: Sequence[bytes]) -> list[bytes]:
    return [leaf_hash(entry) for entry in entries]


def changed(entry: bytes, **changes: Any) -> tuple[str, dict[str, Any]]:
    """Kind and predicate of an entry, with some of it changed."""
    value = json.loads(unseal(entry).payload)
    return value["predicateType"].split(":")[2], {**value["predicate"], **changes}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Two cycles and a request, cosigned by a witness."""
    scene = Scene(None, tmp_path_factory.mktemp("matrix"))
    lab = told(scene.root, scene.keys)
    lab.ledger.append("request", [], ASKED, role="controller", event="request:1")
    lab.ledger.append(
        "approval", [], {"request": asked(lab), "answer": "approve", "nonce": "1"}, role="person", event="approval:1"
    )
    lab.ledger.sign_checkpoint()
    lab.ledger.close()
    (scene.folder / "key").write_text(witness(scene.folder / "w1"))
    assert loopwright("witness", "cosign", scene.root, "--state", scene.folder / "w1").code == 0
    (scene.folder / "kept").write_text(loopwright("witness", "show", "--state", scene.folder / "w1").out)
    return scene


def asked(lab: Workshop) -> str:
    return request_id(next(one for one in lab.ledger.statements() if one.kind == "request"))


# --- who may do what -------------------------------------------------------------------------------------------------------


def edit(scene: Scene) -> None:
    entries = scene.entries
    envelope = unseal(entries[6])
    kind, predicate = changed(entries[6], action="hold")
    entries[6] = seal(payload_of(kind, [], predicate), envelope.keyid, envelope.signature)
    scene.put(entries)


def edit_and_sign(scene: Scene) -> None:
    entries = scene.entries
    entries[6] = scene.said(*changed(entries[6], action="hold"), "controller")
    scene.put(entries)


def delete(scene: Scene) -> None:
    scene.put([*scene.entries[:4], *scene.entries[5:]])


def reorder(scene: Scene) -> None:
    entries = scene.entries
    entries[9], entries[10] = entries[10], entries[9]
    scene.put(entries)


def truncate(scene: Scene) -> None:
    scene.put(scene.entries[:-3])


def swap_objects(scene: Scene) -> None:
    first, other = (scene.root / "cycles" / cycle / "model" / "data.bin" for cycle in ("c0000", "c0001"))
    first.rename(scene.folder / "x")
    other.rename(first)
    (scene.folder / "x").rename(other)


def swap_manifests_too(scene: Scene) -> None:
    swap_objects(scene)
    first, other = (scene.root / "cycles" / cycle / "manifests" / "model.json" for cycle in ("c0000", "c0001"))
    before = first.read_bytes(), other.read_bytes()
    first.write_bytes(before[1])
    other.write_bytes(before[0])


def drop_all_checkpoints(scene: Scene) -> None:
    shutil.rmtree(scene.ledger / "checkpoints")
    (scene.ledger / "checkpoint").unlink()


def drop_later_checkpoints(scene: Scene) -> None:
    for path in (scene.ledger / "checkpoints").iterdir():
        if int(path.name) > 7:
            path.unlink()
    scene.put(scene.entries, notes={7: (scene.ledger / "checkpoints" / "7").read_text()})


def truncate_and_drop_checkpoints(scene: Scene) -> None:
    drop_later_checkpoints(scene)
    scene.put(scene.entries[:7])


def truncate_and_sign(scene: Scene) -> None:
    scene.put(scene.entries[:11], resign=True)


def rewrite_and_sign(scene: Scene) -> None:
    entries = scene.entries
    entries[6] = scene.said(*changed(entries[6], action="reject"), "controller")
    scene.put(entries, resign=True)


def fork(scene: Scene) -> None:
    """From a copy that was made before the last cycle, another one goes on: both are signed by the right keys."""
    scene.put(scene.entries[:7])
    for path in (scene.ledger / "checkpoints").iterdir():
        if int(path.name) > 7:
            path.unlink()
    shutil.copy(scene.ledger / "checkpoints" / "7", scene.ledger / "checkpoint")
    for cycle in ("c0005", "c0006", "c0007", "c0008"):
        scene.go_on(cycle)


def rewind(scene: Scene) -> None:
    truncate_and_drop_checkpoints(scene)
    scene.go_on("c0005")


def replay_approval(scene: Scene) -> None:
    scene.put([*scene.entries, scene.entries[-1]], resign=True)


def move_approval(scene: Scene) -> None:
    """A person's approval of another workspace's request."""
    other = told(scene.folder / "other", scene.folder / "other-keys")
    other.ledger.append("request", [], ASKED, role="controller", event="request:1")
    answer = {"request": asked(other), "answer": "approve", "nonce": "1"}
    other.ledger.append("approval", [], answer, role="person", event="approval:2")
    other.ledger.publish()
    other.ledger.close()
    scene.put([*scene.entries, read_entries(other.published)[-1]], resign=True)


def approve_something_else(scene: Scene) -> None:
    """The person's own signature, over a request that was never made here."""
    answer = changed(scene.entries[-1], request=digest("another request"), event="approval:3")
    ledger = Ledger.open(scene.root, scene.keys, signer=LocalSigner)
    ledger.append(answer[0], [], answer[1], role="person", event="approval:3")
    ledger.sign_checkpoint()
    ledger.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the matrix."""

    by: str
    do: Callable[[Scene], None]
    alone: str
    """What `loopwright verify` finds first by itself; nothing where it cannot."""
    with_witness: str
    """What it finds with a witness' key and the checkpoint that the witness remembers."""
    refusal: str
    """Why the witness does not sign what is there now."""


MATRIX = {
    "nothing": Case(by="nobody", do=lambda _: None, alone="", with_witness="", refusal=""),
    "edit an entry": Case(by="outsider", do=edit, alone="signature-invalid", with_witness="fork", refusal=""),
    "edit an entry and sign it": Case(by="insider", do=edit_and_sign, alone="root-differs", with_witness="fork", refusal=""),
    "delete an entry": Case(by="outsider", do=delete, alone="entries-missing", with_witness="rewind", refusal=""),
    "reorder entries": Case(by="outsider", do=reorder, alone="root-differs", with_witness="fork", refusal=""),
    "truncate the log": Case(by="outsider", do=truncate, alone="entries-missing", with_witness="rewind", refusal=""),
    "swap objects": Case(by="outsider", do=swap_objects, alone="artifact-edited", with_witness="artifact-edited", refusal=""),
    "swap objects and manifests": Case(
        by="outsider", do=swap_manifests_too, alone="manifest-differs", with_witness="manifest-differs", refusal=""
    ),
    "drop all checkpoints": Case(
        by="outsider", do=drop_all_checkpoints, alone="checkpoint-invalid", with_witness="unwitnessed", refusal="checkpoint"
    ),
    "drop the later checkpoints": Case(
        by="outsider", do=drop_later_checkpoints, alone="", with_witness="unwitnessed", refusal="rewind"
    ),
    "truncate and drop the later checkpoints": Case(
        by="outsider", do=truncate_and_drop_checkpoints, alone="", with_witness="rewind", refusal="rewind"
    ),
    "truncate and sign with the stolen log key": Case(
        by="insider", do=truncate_and_sign, alone="", with_witness="rewind", refusal="rewind"
    ),
    "rewrite and sign with the stolen log key": Case(
        by="insider", do=rewrite_and_sign, alone="", with_witness="fork", refusal="fork"
    ),
    "fork": Case(by="insider", do=fork, alone="", with_witness="fork", refusal="fork"),
    "rewind to a backup and go on": Case(by="insider", do=rewind, alone="", with_witness="rewind", refusal="rewind"),
    "replay an approval": Case(
        by="insider", do=replay_approval, alone="event-repeated", with_witness="event-repeated", refusal=""
    ),
    "transfer an approval from another workspace": Case(
        by="insider", do=move_approval, alone="signer-unknown", with_witness="signer-unknown", refusal=""
    ),
    "approve what was never asked": Case(
        by="insider", do=approve_something_else, alone="request-unknown", with_witness="request-unknown", refusal=""
    ),
}


def verified(scene: Scene, *words: str | Path) -> Done:
    return loopwright("verify", "-w", scene.root, "--json", *words)


@pytest.mark.parametrize("name", MATRIX)
def test_every_row_is_told_and_named(sound: Scene, tmp_path: Path, name: str) -> None:
    case, scene = MATRIX[name], Scene(sound, tmp_path / "copy")
    case.do(scene)
    alone = verified(scene)
    trusting = verified(scene, "--witness", (scene.folder / "key").read_text(), "--checkpoint", scene.folder / "kept")
    assert (alone.code, trusting.code) == (5 if case.alone else 0, 5 if case.with_witness else 0)
    assert case.alone in alone.codes or not (case.alone or alone.codes), alone.codes
    assert case.with_witness in trusting.codes or not (case.with_witness or trusting.codes), trusting.codes


@pytest.mark.parametrize("name", [name for name, case in MATRIX.items() if case.refusal])
def test_the_witness_does_not_sign_it_and_keeps_the_evidence(sound: Scene, tmp_path: Path, name: str) -> None:
    scene = Scene(sound, tmp_path / "copy")
    MATRIX[name].do(scene)
    done = loopwright("witness", "cosign", scene.root, "--state", scene.folder / "w1")
    assert (done.code, MATRIX[name].refusal in done.err) == (2 if name == "drop all checkpoints" else 5, True), done.err
    if MATRIX[name].refusal in {"fork", "rewind"}:
        [evidence] = (scene.folder / "w1" / "refused").iterdir()
        assert json.loads(evidence.read_bytes())["code"] == MATRIX[name].refusal


def test_the_table_in_the_docs_is_this_matrix(repository: Path) -> None:
    document = (repository / "docs" / "proof.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z ]+) \| (outsider|insider) \| (`[a-z-]+`|-) \| `([a-z-]+)` \|$", document, re.MULTILINE)
    assert {name: (by, alone.strip("`-"), seen) for name, by, alone, seen in rows} == {
        name: (case.by, case.alone, case.with_witness) for name, case in MATRIX.items() if name != "nothing"
    }
