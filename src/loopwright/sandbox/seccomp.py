"""The system calls that a candidate may make: an allow-list as a readable table, assembled into the kernel's filter program.

Everything that is not in the table fails with EPERM; what only an attack needs ends the process. The filter is made here, in the
supervisor, and handed to the zygote as bytes, so that what runs beside candidates stays small. Classic BPF as in
Documentation/userspace-api/seccomp_filter.rst; numbers from the kernel's tables for x86-64 and for the generic ABI (aarch64).
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["ALLOWED", "ARCHITECTURES", "CONDITIONS", "KILLED", "Condition", "program"]

Numbers = tuple[int | None, int | None]
"""A call's number on x86-64 and on aarch64; None where the architecture has no such call."""

ARCHITECTURES: Final[Mapping[str, tuple[int, int]]] = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine -> column of the table, AUDIT_ARCH value."""

ALLOWED: Final[Mapping[str, Numbers]] = {
    # its one channel, and files that Landlock lets nobody open
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "close": (3, 57), "lseek": (8, 62), "fstat": (5, 80),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "poll": (7, None), "ppoll": (271, 73), "select": (23, None),
    "pselect6": (270, 72),
    # memory
    "munmap": (11, 215), "mremap": (25, 216), "brk": (12, 214), "madvise": (28, 233),
    # its own signals and waiting
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "futex": (202, 98),
    "set_robust_list": (273, 99), "rseq": (334, 293), "restart_syscall": (219, 128), "sched_yield": (24, 124),
    "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    # what it is told about itself and the time
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "getrandom": (318, 278), "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getpgrp": (111, None), "getpgid": (121, 155),
    "getsid": (124, 156), "getgroups": (115, 158), "getresuid": (118, 148), "getresgid": (120, 150), "getcwd": (79, 17),
    "umask": (95, 166), "sched_getaffinity": (204, 123), "getcpu": (309, 168), "getrusage": (98, 165), "getrlimit": (97, 163),
    # the end
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip

KILLED: Final[Mapping[str, Numbers]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "bpf": (321, 280), "userfaultfd": (323, 282), "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "unshare": (272, 97),
    "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "open_tree": (428, 428), "move_mount": (429, 429),
    "mount_setattr": (442, 442), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "personality": (135, 92), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "quotactl": (179, 60),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "syslog": (103, 116), "iopl": (172, None),
    "ioperm": (173, None), "modify_ldt": (154, None), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "adjtimex": (159, 171), "memfd_secret": (447, 447), "move_pages": (279, 239),
    "migrate_pages": (256, 238), "mbind": (237, 235), "set_mempolicy": (238, 237),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A call that is allowed for some values of one argument (its low 32 bits; the kernel ignores the rest of an int)."""

    numbers: Numbers
    argument: int
    without: int | None = None
    """Bits none of which may be set."""
    one_of: tuple[int, ...] = ()
    """Values that are allowed."""
    null: bool = False
    """It must be a null pointer: both halves are looked at."""


PROT_EXEC = 4
WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o20000000
"""O_WRONLY, O_RDWR, O_CREAT, O_TRUNC and O_TMPFILE's own bit; the same on both architectures."""
ITS_OWN = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: not the ones that send signals, lease or seal."""
ASKING = (3, 16, 21, 39)
"""PR_GET_DUMPABLE, PR_GET_NAME, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS."""

CONDITIONS: Final[Mapping[str, Condition]] = {
    "mmap": Condition(numbers=(9, 222), argument=2, without=PROT_EXEC),
    "mprotect": Condition(numbers=(10, 226), argument=2, without=PROT_EXEC),
    "openat": Condition(numbers=(257, 56), argument=2, without=WRITING),
    "open": Condition(numbers=(2, None), argument=1, without=WRITING),
    "fcntl": Condition(numbers=(72, 25), argument=1, one_of=ITS_OWN),
    "prctl": Condition(numbers=(157, 167), argument=0, one_of=ASKING),
    "prlimit64": Condition(numbers=(302, 261), argument=2, null=True),  # asking, never setting
    "newfstatat": Condition(numbers=(262, 79), argument=3, one_of=(0x1000,)),  # AT_EMPTY_PATH: what glibc makes of fstat
}

_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL, _DENY = 0x7FFF0000, 0x80000000, 0x00050001
"""SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ERRNO with EPERM."""
_X32 = 0x40000000

_Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand."""


def program(machine: str = platform.machine()) -> bytes | None:
    """The filter as an array of ``struct sock_filter`` (8 bytes each); None for a machine that the table does not know."""
    if machine not in ARCHITECTURES:
        return None
    column, audit = ARCHITECTURES[machine]
    steps: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    for condition in CONDITIONS.values():
        steps += _conditional(condition, condition.numbers[column])
    for table, answer in ((ALLOWED, _ALLOW), (KILLED, _KILL)):
        for first, last in _ranges(sorted(number for numbers in table.values() if (number := numbers[column]) is not None)):
            steps += _between(first, last, answer)
    steps.append((_RETURN, 0, 0, _DENY))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """Consecutive numbers joined: fewer steps for the kernel."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def _between(first: int, last: int, answer: int) -> list[_Instruction]:
    if first == last:
        return [(_EQUAL, 0, 1, first), (_RETURN, 0, 0, answer)]
    return [(_AT_LEAST, 0, 2, first), (_AT_LEAST, 1, 0, last + 1), (_RETURN, 0, 0, answer)]


def _conditional(condition: Condition, number: int | None) -> list[_Instruction]:
    """Steps that answer one call by its argument and pass over every other."""
    if number is None:
        return []
    body: list[_Instruction] = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * condition.argument)]  # little-endian: the low half first
    if condition.null:
        upper = (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * condition.argument + 4)
        body += [(_EQUAL, 0, 3, 0), upper, (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)]
    elif condition.without is not None:
        body += [(_ANY_BIT, 0, 1, condition.without), (_RETURN, 0, 0, _DENY), (_RETURN, 0, 0, _ALLOW)]
    else:
        for value in condition.one_of:
            body += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
        body.append((_RETURN, 0, 0, _DENY))
    return [(_EQUAL, 0, len(body), number), *body]
