"""What is sealed is read by who holds the evaluator's key, the same bytes every time, and by nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.errors import IntegrityError, WorkspaceError
from loopwright.ledger.sealing import ProcessSealer, _serve

SECRET = b"take the list, reverse it, sum the odd ones"


def key_of(home: Path, workspace: str = "bench") -> Path:
    [key] = (home / workspace).glob("evaluator-*.seal")
    return key


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("keys")
    ProcessSealer("bench", place).seal(b"")
    return place


def test_sealed_twice_it_is_the_same_bytes_and_opens(home: Path) -> None:
    sealer = ProcessSealer("bench", home)
    sealed = sealer.seal(SECRET)
    assert sealed == sealer.seal(SECRET)
    assert SECRET not in sealed
    assert sealer.open(sealed) == SECRET
    assert key_of(home).stat().st_mode & 0o777 == 0o600


def test_a_fork_opens_what_its_origin_sealed_and_seals_with_its_own_key(home: Path) -> None:
    sealed, fork = ProcessSealer("bench", home).seal(SECRET), ProcessSealer("fork", home)
    assert fork.open(sealed) == SECRET
    assert fork.seal(SECRET) != sealed


def test_a_machine_without_the_key_says_so(home: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="holds no key for the sealed tasks"):
        ProcessSealer("bench", tmp_path).open(ProcessSealer("bench", home).seal(SECRET))


@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=200), where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_one_changed_byte_is_noticed(home: Path, data: bytes, where: float, flip: int) -> None:
    key = key_of(home)
    sealed = _serve(key.parent, "seal", data)
    assert _serve(key, "open", sealed) == data
    at = int(where * len(sealed))
    with pytest.raises(IntegrityError, match="was changed"):
        _serve(key, "open", sealed[:at] + bytes([sealed[at] ^ flip]) + sealed[at + 1 :])


@pytest.mark.parametrize(
    "sealed",
    [
        b"",
        b"loopwright sealed v1 bench\n",
        b"PAR1",
        b"loopwright sealed v1 ../../x\nabc",
        b"loopwright sealed v1 0123456789abcdef\nabc",
    ],
)
def test_other_bytes_are_refused(home: Path, sealed: bytes) -> None:
    with pytest.raises((IntegrityError, WorkspaceError)):
        ProcessSealer("bench", home).open(sealed)


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    sealer = ProcessSealer("bench", tmp_path)
    sealer.seal(SECRET)
    key_of(tmp_path).chmod(0o644)
    with pytest.raises(IntegrityError, match="others may read"):
        sealer.seal(SECRET)
