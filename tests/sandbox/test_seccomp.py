"""The system call filter, answered by an interpreter of its program: every call, and the arguments that decide."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopwright.sandbox.seccomp import ALLOWED, ARCHITECTURES, CONDITIONS, KILLED, program

ALLOW, KILL, DENY = 0x7FFF0000, 0x80000000, 0x00050001
MACHINES = sorted(ARCHITECTURES)


def answer(steps: bytes, number: int, arguments: tuple[int, ...] = (), arch: int | None = None, machine: str = "x86_64") -> int:
    """What the kernel would do with a call: classic BPF over ``struct seccomp_data``."""
    audit = ARCHITECTURES[machine][1] if arch is None else arch
    padded = [*arguments, *[0] * 6][:6]
    data = struct.pack("<iIQ6Q", number if number < 2**31 else number - 2**32, audit, 0, *padded)
    place = accumulator = 0
    while True:
        code, true, false, operand = struct.unpack_from("=HBBI", steps, 8 * place)
        place += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, operand)[0]
            continue
        held = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}[code]
        place += true if held else false


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def steps(machine: str) -> bytes:
    made = program(machine)
    assert made
    assert len(made) // 8 < 256, "jumps are bytes"
    return made


def test_every_call_gets_the_answer_of_the_table(machine: str, steps: bytes) -> None:
    column = ARCHITECTURES[machine][0]
    allowed = {numbers[column] for numbers in ALLOWED.values()} - {None}
    killed = {numbers[column] for numbers in KILLED.values()} - {None}
    decided = {condition.numbers[column] for condition in CONDITIONS.values()} - {None}
    assert not allowed & killed
    assert not (allowed | killed) & decided
    for number in set(range(600)) - decided:
        wanted = ALLOW if number in allowed else KILL if number in killed else DENY
        assert answer(steps, number, machine=machine) == wanted, number


FORBIDDEN = {
    "x86_64": {"socket": 41, "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "tkill": 200, "tgkill": 234,
               "clone3": 435, "execveat": 322, "setrlimit": 160, "stat": 4, "readlink": 89, "openat2": 437, "memfd_create": 319,
               "sendmsg": 46, "recvmsg": 47, "connect": 42, "shmget": 29, "msgget": 68, "semget": 64, "ioctl": 16, "pkey_mprotect": 329,
               "landlock_restrict_self": 446, "seccomp": 317, "setuid": 105, "chdir": 80, "sched_setaffinity": 203},
    "aarch64": {"socket": 198, "clone": 220, "execve": 221, "kill": 129, "tgkill": 131, "clone3": 435, "execveat": 281, "memfd_create": 279,
                "connect": 203, "shmget": 194, "ioctl": 29, "openat2": 437, "pkey_mprotect": 288, "setuid": 146, "readlinkat": 78},
}  # fmt: skip


def test_what_a_candidate_needs_least_is_denied(machine: str, steps: bytes) -> None:
    for name, number in FORBIDDEN[machine].items():
        assert answer(steps, number, machine=machine) == DENY, name


@given(st.integers(0, 2**64 - 1), st.sampled_from(MACHINES))
def test_memory_is_never_made_executable(protection: int, machine: str) -> None:
    steps = program(machine)
    assert steps
    for name in ("mmap", "mprotect"):
        number = CONDITIONS[name].numbers[ARCHITECTURES[machine][0]]
        assert number is not None
        wanted = DENY if protection & 4 else ALLOW
        assert answer(steps, number, (0, 4096, protection), machine=machine) == wanted


@given(st.integers(0, 2**64 - 1))
def test_limits_are_asked_and_never_set(pointer: int) -> None:
    """The new limit is a pointer: one whose lower half is zero is no null pointer."""
    steps = program("x86_64")
    assert steps
    assert answer(steps, 302, (0, 7, pointer, 0)) == (ALLOW if pointer == 0 else DENY)
    assert answer(steps, 302, (0, 7, (pointer | 1) << 32 & (2**64 - 1), 0)) == DENY


@pytest.mark.parametrize(
    ("flags", "wanted"), [(0, ALLOW), (0o2000000, ALLOW), (1, DENY), (2, DENY), (0o100, DENY), (0o20200000, DENY)]
)
def test_files_are_never_opened_for_writing(flags: int, wanted: int) -> None:
    steps = program("x86_64")
    assert steps
    assert answer(steps, 257, (2**32 - 100, 0, flags)) == wanted


def test_other_architectures_and_x32_calls_end_the_process(machine: str, steps: bytes) -> None:
    for arch in (0x40000003, 0x40000028, 0xC00000B7 if machine == "x86_64" else 0xC000003E):
        assert answer(steps, 0, arch=arch, machine=machine) == KILL
    assert answer(steps, 0x40000000, machine=machine) == KILL
    assert answer(steps, 0xFFFFFFFF, machine=machine) == KILL


def test_an_unknown_machine_has_no_filter() -> None:
    assert program("riscv64") is None
