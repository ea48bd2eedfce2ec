"""Signing processes: each holds one key, says only what its role may say, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import psutil
import pytest

from loopwright.errors import InfraError, RefusedError, WorkspaceError
from loopwright.ledger import Ledger
from loopwright.ledger import signer as signer_module
from loopwright.ledger.keys import make_keys
from loopwright.ledger.ledger import Draft
from loopwright.ledger.note import Checkpoint, checkpoint_text
from loopwright.ledger.principals import RIGHTS, ROLES
from loopwright.ledger.signer import LocalSigner, ProcessSigner
from loopwright.ledger.statement import pae, payload_of
from loopwright.runtime.ray_process import lives
from tests.ledger.workshop import Workshop

EVERYTHING = sorted({right for held in RIGHTS.values() for right in held} - {"checkpoint"})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "bench"
    make_keys(folder)
    return folder


@pytest.fixture(scope="module")
def signer(keys: Path) -> Iterator[ProcessSigner]:
    made = ProcessSigner(keys)
    yield made
    made.close()


def saying(right: str) -> bytes:
    kind, _, more = right.partition(":")
    return payload_of(kind, [], {"phase" if kind == "phase" else "by": more} if more else {})


def checkpoint(origin: str) -> bytes:
    return checkpoint_text(Checkpoint(origin=origin, size=1, root=bytes(32))).encode()


@pytest.mark.parametrize("role", ROLES)
def test_a_role_signs_what_it_may_and_nothing_else(signer: ProcessSigner, keys: Path, role: str) -> None:
    local = LocalSigner(keys)
    for right in EVERYTHING:
        if right in RIGHTS[role]:
            assert signer.sign(role, saying(right)) == local.sign(role, saying(right))
        else:
            with pytest.raises(RefusedError, match=f"{role} key of bench|not a checkpoint"):
                signer.sign(role, saying(right))
    if role == "log":
        assert len(signer.sign(role, checkpoint("loopwright/bench"))) == 64
        with pytest.raises(RefusedError, match="another log's checkpoint"):
            signer.sign(role, checkpoint("loopwright/other"))
    else:
        with pytest.raises(RefusedError):
            signer.sign(role, checkpoint("loopwright/bench"))


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff" * 10, b"[" * 100_000, pae(saying("close")), b"x" * 1_000_000])
def test_other_bytes_are_refused_and_the_process_goes_on(signer: ProcessSigner, payload: bytes) -> None:
    for role in ("controller", "log"):
        with pytest.raises(RefusedError):
            signer.sign(role, payload)
    assert len(signer.sign("controller", saying("close"))) == 64


def test_a_batch_is_signed_in_one_turn_or_not_at_all(
    signer: ProcessSigner, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = [payload_of("close", [], {"number": number, "more": "x" * 500}) for number in range(300)]
    turns, frame = 0, signer_module._frame

    def counted(stream: IO[bytes]) -> bytes:
        nonlocal turns
        turns += 1
        return frame(stream)

    monkeypatch.setattr(signer_module, "_frame", counted)
    assert signer.sign_many("controller", payloads) == LocalSigner(keys).sign_many("controller", payloads)
    with pytest.raises(RefusedError, match="controller key of bench may not sign phase:train"):
        signer.sign_many("controller", [*payloads[:5], saying("phase:train"), payloads[5]])
    assert turns == 2
    assert len(signer.sign("controller", payloads[0])) == 64


def test_a_batch_of_another_key_or_with_an_answer_missing_is_not_appended(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "w", tmp_path / "keys")
    drafts = [Draft(kind="approval", predicate={}, role="person", event=f"event:{number}") for number in range(3)]

    class Careless(LocalSigner):
        def sign_many(self, role: str, payloads: Sequence[bytes]) -> list[bytes]:
            return super().sign_many(role, payloads)[1:]

    folder = tmp_path / "keys" / "bench"
    careless = Ledger.open(workshop.root, workshop.keys, signer=Careless)
    with pytest.raises(WorkspaceError, match="not the one that the workspace's genesis entry enrols"):
        careless.append_many(drafts)
    careless.close()
    make_keys(tmp_path / "others" / "bench")
    (tmp_path / "others" / "bench" / "gate.key").rename(folder / "person.key")
    with pytest.raises(WorkspaceError, match="not the one that the workspace's genesis entry enrols"):
        workshop.again().append_many(drafts)
    assert workshop.ledger.size == 1
    workshop.ledger.close()


def test_a_signing_process_holds_its_key_and_no_secret_of_the_driver(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN_OF_THE_DRIVER", "secret")
    signer = ProcessSigner(keys)
    try:
        signer.sign("gate", saying("phase:decide"))
        [child] = [psutil.Process(child.pid) for child in signer._children.values()]
        assert child.cmdline()[-1] == str(keys / "gate.key")
        assert "A_TOKEN_OF_THE_DRIVER" not in child.environ()
        assert child.open_files() == []
        assert child.cwd() == "/"
    finally:
        signer.close()
    assert not child.is_running()


def test_a_signing_process_that_died_is_said_to_be_dead_and_replaced(keys: Path) -> None:
    signer = ProcessSigner(keys)
    try:
        first = signer.sign("gate", saying("phase:decide"))
        os.kill(signer._children["gate"].pid, signal.SIGKILL)
        with pytest.raises(InfraError, match="signing process of the gate ended"):
            signer.sign("gate", saying("phase:decide"))
        assert signer.sign("gate", saying("phase:decide")) == first
    finally:
        signer.close()


def test_an_interrupted_request_is_not_answered_by_the_next_one(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = ProcessSigner(keys)
    try:
        with monkeypatch.context() as patched:
            patched.setattr("loopwright.ledger.signer._frame", lambda _stream: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                signer.sign("controller", saying("open"))
        assert signer.sign("controller", saying("close")) == LocalSigner(keys).sign("controller", saying("close"))
    finally:
        signer.close()


def test_a_missing_key_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="holds no gate key of workspace bench"):
        ProcessSigner(tmp_path / "bench").sign("gate", saying("phase:decide"))


def test_signing_processes_end_with_a_driver_that_was_killed(keys: Path) -> None:
    code = (
        "import sys, time, pathlib; from loopwright.ledger.signer import ProcessSigner\n"
        "from loopwright.ledger.statement import payload_of\n"
        f"signer = ProcessSigner(pathlib.Path({str(keys)!r})); signer.sign('controller', payload_of('close', [], {{}}))\n"
        "print(signer._children['controller'].pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout
        child = psutil.Process(int(driver.stdout.readline()))
        assert child.is_running()
        driver.kill()
    deadline = time.monotonic() + 10
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not lives(child)


def test_a_whole_cycle_is_signed_by_processes(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "w", tmp_path / "keys", signer=ProcessSigner)
    workshop.cycle(phases=("seed", "train", "decide"))
    genesis, *rest = workshop.ledger.statements()
    roles = {one["id"]: one["role"] for one in genesis.predicate["principals"]}
    assert [roles[one.keyid] for one in rest] == ["controller", "controller", "trainer", "gate", "controller"]
    assert {one["custody"] for one in genesis.predicate["principals"]} == {ProcessSigner.custody}
    workshop.ledger.close()
