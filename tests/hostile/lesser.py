"""A machine that offers less: a system call filter around the whole process, as containers and hardened kernels have.

    python -m tests.hostile.lesser no-namespaces,no-landlock SL2

Prints the level that a sandbox with that minimum reaches and the levels of its verdicts, or why it does not start.
"""

from __future__ import annotations

import ctypes
import errno
import struct
import sys
from typing import Any

from loopwright.errors import InfraError
from loopwright.sandbox import Job, judge
from loopwright.sandbox.pool import open_sandbox
from tests.hostile.cases import CHECK, GOOD, WRONG

__all__: list[str] = []

LOAD, EQUAL, ANY, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
NAMESPACES = 0x7E020080
CLONE, UNSHARE, SETNS, CLONE3 = 56, 272, 308, 435
LANDLOCK = (444, 445, 446)
SECCOMP, PRCTL = 317, 157
Line = tuple[int, int, int, int]


def lines(wanted: set[str]) -> list[Line]:
    """The filter as classic BPF: (code, jump if true, jump if false, operand)."""
    number: list[Line] = [(LOAD, 0, 0, 0)]
    if "no-namespaces" in wanted:
        for each in (UNSHARE, SETNS):
            number += [(EQUAL, 0, 1, each), (RETURN, 0, 0, REFUSE | errno.EPERM)]
        number += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, REFUSE | errno.ENOSYS)]
        number += [(EQUAL, 0, 4, CLONE), (LOAD, 0, 0, 16), (ANY, 0, 1, NAMESPACES), (RETURN, 0, 0, REFUSE | errno.EPERM)]
        number += [(RETURN, 0, 0, ALLOW)]  # a clone without namespaces
    if "no-landlock" in wanted:
        for each in LANDLOCK:
            number += [(EQUAL, 0, 1, each), (RETURN, 0, 0, REFUSE | errno.ENOSYS)]
    if "no-seccomp" in wanted:
        number += [(EQUAL, 0, 1, SECCOMP), (RETURN, 0, 0, REFUSE | errno.ENOSYS)]
        number += [(EQUAL, 0, 4, PRCTL), (LOAD, 0, 0, 16), (EQUAL, 0, 1, 22), (RETURN, 0, 0, REFUSE | errno.EINVAL)]
        number += [(RETURN, 0, 0, ALLOW)]
    return [*number, (RETURN, 0, 0, ALLOW)]


def apply(wanted: set[str]) -> None:
    """Put the filter on this process and all that it starts."""
    program = b"".join(struct.pack("HBBI", *line) for line in lines(wanted))
    text = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(text)), 16)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((38, 1, 0, 0, 0), (22, 2, ctypes.addressof(head), 0, 0)):
        if libc.prctl(*map(ctypes.c_ulong, arguments)) != 0:
            raise OSError(ctypes.get_errno(), "the filter is refused")


def main() -> None:
    """See the module."""
    apply(set(sys.argv[1].split(",")))
    minimum: Any = sys.argv[2]
    try:
        with open_sandbox(minimum, 1) as sandbox:
            seen = sandbox.run([Job(source=source, entry="f", inputs=CHECK.inputs) for source in (GOOD, WRONG)])
            verdicts = [judge(outcome, [("lesser", CHECK)]) for outcome in seen]
            print(sandbox.level, *(f"{verdict.status}@{verdict.level}" for verdict in verdicts))
    except InfraError as error:
        print("refused:", error.message)


if __name__ == "__main__":
    main()
