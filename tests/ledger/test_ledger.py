"""The ledger as its users see it: append, read, publish, sign, rebuild; and what it refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from loopwright.errors import IntegrityError, RefusedError, UsageError, WorkspaceError
from loopwright.ledger import Ledger, snapshot
from loopwright.ledger.audit import audit
from loopwright.ledger.keys import DEMO_PERSONS, make_keys
from loopwright.ledger.ledger import Draft
from loopwright.ledger.location import locate
from loopwright.ledger.signer import LocalSigner
from loopwright.ledger.tiles import pack, published_size, read_entries
from loopwright.types import Artifact, digest_bytes
from tests.ledger.workshop import TIME, Workshop, closing, digest, opening


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_ledger_has_a_genesis_entry_under_a_checkpoint(workshop: Workshop) -> None:
    [genesis] = workshop.ledger.statements()
    assert (genesis.kind, genesis.index, genesis.subjects[0].digest) == ("genesis", 0, digest("plan"))
    assert genesis.predicate["forked_from"] is None
    assert {one["role"]: one["kind"] for one in genesis.predicate["principals"]}["person"] == "demo"
    assert set(files(workshop.published)) == {
        "checkpoint",
        "checkpoints/1",
        "keys.json",
        "tile/0/000.p/1",
        "tile/entries/000.p/1",
    }
    assert (workshop.ledger.size, workshop.ledger.workspace) == (1, "bench")


def test_private_keys_are_for_their_owner_alone_and_not_in_the_workspace(workshop: Workshop) -> None:
    keys = sorted((workshop.keys / "bench").iterdir())
    assert [key.name for key in keys] == [
        f"{name}.key"
        for name in (
            "controller",
            "evaluator",
            "gate",
            "generator",
            "log",
            *sorted(DEMO_PERSONS.values()),
            "trainer",
            "verifier",
        )
    ]
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    assert (workshop.keys / "bench").stat().st_mode & 0o777 == 0o700
    assert not any(b"PRIVATE" in data for data in files(workshop.root).values())


def test_statements_come_back_in_order_and_from_anywhere(workshop: Workshop) -> None:
    workshop.cycle()
    kinds = [statement.kind for statement in workshop.again().statements()]
    assert kinds == ["genesis", "open", "phase", "phase", "phase", "phase", "close"]
    assert [statement.index for statement in workshop.ledger.statements(3)] == [3, 4, 5, 6]
    assert list(workshop.ledger.statements(7)) == []


def test_an_event_is_recorded_once(workshop: Workshop) -> None:
    first = workshop.open()
    again = workshop.ledger.append("open", [], opening("c0009"), role="controller", event="open:c0000")
    assert (first, again, workshop.ledger.size) == (1, 1, 2)
    assert workshop.again().append("open", [], opening("c0000"), role="controller", event="open:c0000") == 1


def test_a_statement_about_nothing_is_about_this_log(workshop: Workshop) -> None:
    workshop.open()
    opened = list(workshop.ledger.statements())[1]
    first = read_entries(workshop.published)[0]
    assert opened.subjects == (Artifact(kind="log", digest=digest_bytes(first), path="ledger"),)


def test_publishing_makes_the_files_the_log_and_then_changes_nothing(workshop: Workshop) -> None:
    workshop.open()
    workshop.phase("c0000", "seed")
    assert published_size(workshop.published) == 1
    workshop.ledger.publish()
    before = {path: path.stat().st_mtime_ns for path in workshop.published.rglob("*")}
    workshop.ledger.publish()
    assert {path: path.stat().st_mtime_ns for path in workshop.published.rglob("*")} == before
    entries = read_entries(workshop.published)
    assert snapshot.envelopes(locate(workshop.root)) == entries
    assert audit(workshop.published).findings == ()


def test_publishing_restores_what_is_missing(workshop: Workshop) -> None:
    workshop.cycle()
    whole = files(workshop.published)
    shutil.rmtree(workshop.published)
    workshop.ledger.publish()
    assert files(workshop.published) == whole


def test_a_checkpoint_is_kept_for_each_size(workshop: Workshop) -> None:
    workshop.open()
    note = workshop.ledger.sign_checkpoint()
    assert workshop.ledger.sign_checkpoint() == note
    assert (workshop.published / "checkpoint").read_text() == note == (workshop.published / "checkpoints/2").read_text()
    assert sorted(path.name for path in (workshop.published / "checkpoints").iterdir()) == ["1", "2"]


def test_a_tail_beyond_the_checkpoint_is_published_and_the_checkpoint_stays_readable(workshop: Workshop) -> None:
    workshop.open()
    workshop.ledger.publish()
    assert {"tile/entries/000.p/1", "tile/entries/000.p/2"} <= set(files(workshop.published))
    log = audit(workshop.published)
    assert (log.findings, log.covered, len(log.entries)) == ((), 1, 2)
    workshop.ledger.sign_checkpoint()
    assert not {"tile/entries/000.p/1", "tile/0/000.p/1"} & set(files(workshop.published))


def test_a_log_of_several_bundles(workshop: Workshop) -> None:
    """Full tiles take the place of partial ones, the level above appears, and everything is read back."""
    workshop.approve_many(250)
    workshop.ledger.publish()
    for number in range(250, 260):
        workshop.ledger.append("approval", [], {"number": number}, role="person", event=f"approval:{number}")
        workshop.ledger.publish()
    workshop.ledger.sign_checkpoint()
    assert {name for name in files(workshop.published) if name.startswith("tile")} == {
        "tile/entries/000", "tile/entries/001.p/5", "tile/0/000", "tile/0/001.p/5", "tile/1/000.p/1",
    }  # fmt: skip
    assert not [level for level in ("entries", "0") if (workshop.published / "tile" / level / "000.p").exists()]
    assert [statement.predicate.get("number") for statement in workshop.ledger.statements(1)] == list(range(260))
    log = audit(workshop.published)
    assert (log.findings, log.covered) == ((), 261)


def test_the_database_is_built_again_from_what_is_published(workshop: Workshop) -> None:
    workshop.cycle(fence=5)
    before = list(workshop.ledger.statements())
    workshop.lose_database()
    ledger = workshop.again()
    assert list(ledger.statements()) == before
    assert snapshot.count(locate(workshop.root)) == 0  # reading alone builds nothing
    assert workshop.open("c0000") == 1  # the idempotency keys are back, too
    assert workshop.open("c0001", fence=6) == len(before)
    with ledger.lease() as lease:
        assert lease.token > 5  # and so is the fence
    ledger.publish()
    assert audit(workshop.published).findings == ()  # and the checkpoints, whose tiles are kept
    ledger.sign_checkpoint()
    assert audit(workshop.published).findings == ()
    assert {"1", "7", "8"} == {path.name for path in (workshop.published / "checkpoints").iterdir()}


def test_a_clone_is_read_without_keys_and_not_written(workshop: Workshop, tmp_path: Path) -> None:
    workshop.cycle()
    shutil.copytree(workshop.published, tmp_path / "clone" / "ledger")
    clone = Ledger.open(tmp_path / "clone", tmp_path / "nokeys")
    assert [statement.kind for statement in clone.statements()] == [
        statement.kind for statement in workshop.ledger.statements()
    ]
    assert clone.size == workshop.ledger.size
    with pytest.raises(WorkspaceError, match="no controller key of workspace bench"):
        clone.append("open", [], opening("c0001"), role="controller", event="open:c0001")
    clone.publish()
    clone.close()


def test_entries_that_came_by_git_are_taken_over(workshop: Workshop, tmp_path: Path) -> None:
    workshop.cycle()
    shutil.copytree(workshop.published, tmp_path / "other" / "ledger")  # a clone, which writes to a database of its own
    other = Ledger.open(tmp_path / "other", workshop.keys, signer=LocalSigner)
    other.append("open", [], opening("c0001"), role="controller", event="open:c0001")
    other.sign_checkpoint()
    other.close()
    shutil.rmtree(workshop.published)
    shutil.copytree(tmp_path / "other" / "ledger", workshop.published)
    ledger = workshop.again()
    assert ledger.size == 8
    assert ledger.append("close", [], closing("c0001"), role="controller", event="close:c0001") == 8
    assert audit(workshop.published).findings == ()


def test_two_logs_that_went_apart_are_not_mixed(workshop: Workshop, tmp_path: Path) -> None:
    shutil.copytree(workshop.published, tmp_path / "other" / "ledger")  # a clone, which writes to a database of its own
    other = Ledger.open(tmp_path / "other", workshop.keys, signer=LocalSigner)
    for number in range(3):
        other.append("approval", [], {}, role="person", event=f"theirs:{number}")
    other.sign_checkpoint()
    other.close()
    workshop.open()
    shutil.rmtree(workshop.published)
    shutil.copytree(tmp_path / "other" / "ledger", workshop.published)
    with pytest.raises(IntegrityError, match="not a continuation"):
        workshop.again().append("close", [], closing("c0000"), role="controller", event="close:c0000")


def test_a_database_is_not_built_from_a_log_that_was_tampered_with(workshop: Workshop) -> None:
    workshop.cycle()
    workshop.lose_database()
    bundle = workshop.published / "tile/entries/000.p/7"
    entries = read_entries(workshop.published)
    bundle.write_bytes(pack([*entries[:-1], entries[-2]]))
    with pytest.raises(IntegrityError, match="not sound"):
        workshop.again().publish()


def test_a_batch_is_there_as_a_whole_and_each_event_once(workshop: Workshop) -> None:
    def said(*events: str) -> list[Draft]:
        return [Draft(kind="approval", predicate={"said": event}, role="person", event=event) for event in events]

    assert workshop.ledger.append_many(said("a", "b", "a", "c")) == [1, 2, 1, 3]
    assert workshop.ledger.append_many(said("c", "d", "a")) == [3, 4, 1]
    assert workshop.ledger.append("approval", [], {}, role="person", event="d") == 4
    with pytest.raises(RefusedError):
        workshop.ledger.append_many([*said("e"), Draft(kind="approval", predicate={}, role="gate", event="f")])
    assert [one.predicate["said"] for one in workshop.ledger.statements(1)] == ["a", "b", "c", "d"]
    assert workshop.ledger.append_many([]) == []
    anchor = {"file": "access/hour", "digest": digest("hour"), "lines": 1, "anchored_at": TIME}
    mixed = [Draft(kind="anchor", predicate=anchor, role="controller", event=event) for event in "fg"]
    assert workshop.ledger.append_many([mixed[0], *said("e"), mixed[1]]) == [5, 6, 7]
    assert [one.event for one in workshop.ledger.statements(5)] == ["f", "e", "g"]


def test_threads_that_append_at_once_share_transactions(workshop: Workshop) -> None:
    """Each event once, though every thread says every event; and fewer transactions than appends."""
    storage, transactions = workshop.ledger._storage, 0
    original = storage.transaction

    def counted() -> Any:
        nonlocal transactions
        transactions += 1
        return original()

    storage.transaction = counted  # type: ignore[method-assign]

    def write(which: int) -> list[int]:
        events = [f"event {(which + number) % 40}" for number in range(40)]
        return [workshop.ledger.append("approval", [], {"event": e}, role="person", event=e) for e in events]

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(write, range(8)))
    assert {frozenset(places) for places in told} == {frozenset(range(1, 41))}
    assert workshop.ledger.size == 41
    assert transactions < 8 * 40
    workshop.ledger.sign_checkpoint()
    assert audit(workshop.published).findings == ()


def test_several_writers_take_turns(workshop: Workshop) -> None:
    """Each has its own connection, as a driver and a person who approves have."""
    ledgers = [Ledger.open(workshop.root, workshop.keys, signer=LocalSigner) for _ in range(3)]

    def write(which: int) -> list[int]:
        events = [f"writer {which} event {number}" for number in range(12)]
        return [ledgers[which].append("approval", [], {}, role="person", event=event) for event in events]

    with ThreadPoolExecutor(3) as pool:
        indices = [index for own in pool.map(write, range(3)) for index in own]
    assert sorted(indices) == list(range(1, 37))
    workshop.ledger.sign_checkpoint()
    assert audit(workshop.published).findings == ()
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize(
    ("kind", "role", "predicate", "error", "words"),
    [
        ("close", "gate", closing("c0000"), RefusedError, "the gate key of bench may not sign close"),
        ("opinion", "controller", {}, RefusedError, "may not sign opinion"),
        ("close", "controller", {"cycle": "c0000"}, UsageError, "action, champion, closed_at"),
        ("close", "controller", {**closing("c0000"), "note": float("nan")}, UsageError, "no canonical form"),
        ("close", "controller", {**closing("c0000"), "note": 2**53}, UsageError, "no canonical form"),
        ("close", "controller", {**closing("c0000"), "note": object()}, UsageError, "no canonical form"),
        ("close", "controller", {**closing("c0000"), "note": "x" * 60_000}, UsageError, "too long for the log"),
        ("close", "auditor", closing("c0000"), UsageError, "no principal of this workspace has the role 'auditor'"),
    ],
)  # fmt: skip
def test_what_may_not_be_said_is_not_recorded(
    workshop: Workshop, kind: str, role: str, predicate: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        workshop.ledger.append(kind, [], predicate, role=role, event="e")
    assert workshop.ledger.size == 1


def test_a_key_that_is_not_the_enrolled_one_signs_nothing(workshop: Workshop) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (workshop.keys / "bench" / "controller.key").write_bytes(pem)
    with pytest.raises(WorkspaceError, match="not the one that the workspace's genesis entry enrols"):
        workshop.open()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda key: key.chmod(0o640), "others may read the private key"),
        (lambda key: key.unlink(), "holds no controller key"),
        (lambda key: key.write_text("nonsense"), "is not a private key"),
    ],
)
def test_a_key_that_cannot_be_trusted_is_refused(workshop: Workshop, spoil: Callable[[Path], None], words: str) -> None:
    spoil(workshop.keys / "bench" / "controller.key")
    with pytest.raises(WorkspaceError, match=words):
        workshop.open()


def test_creating_twice_is_refused_and_keys_of_an_interrupted_one_are_used(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys" / "bench")
    workshop = Workshop(tmp_path / "w", tmp_path / "keys")
    enrolled = next(workshop.ledger.statements()).predicate["principals"]
    assert [one["role"] for one in enrolled] == [*keys, *["person"] * len(DEMO_PERSONS)]
    with pytest.raises(WorkspaceError, match="has a ledger already"):
        Workshop(tmp_path / "w", tmp_path / "keys")
    workshop.ledger.close()


def test_a_folder_without_a_ledger_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="has no ledger"):
        Ledger.open(tmp_path)


@pytest.mark.parametrize("workspace", ["", "..", "../x", "a/b", "-x", "x" * 65, "ä"])
def test_a_workspace_id_is_a_folder_name(tmp_path: Path, workspace: str) -> None:
    with pytest.raises(WorkspaceError, match="cannot be a workspace's id"):
        Ledger.create(tmp_path, workspace=workspace, name="n", demo=True, plan=digest("plan"), key_home=tmp_path)
