"""What runs in a candidate's process: leave the zygote behind, load the source, call it, answer. Standard library only.

Run by the zygote, never imported by the package. Of its input it believes the form alone; nothing that a candidate does in
this process can say more than what it answers, and the answer is read strictly elsewhere (`wire`).
"""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from loopwright.sandbox import codec
else:
    codec = importlib.import_module("codec")

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP = 1, 4, 22
SECCOMP_MODE_FILTER = 2
LANDLOCK_CREATE, LANDLOCK_RESTRICT = 444, 446
"""System call numbers, the same on every architecture."""
LANDLOCK_VERSION = 1
JOB = 3
"""Where a child finds its job."""
FIRST_CLOSED, LAST_CLOSED = 4, 2**16
NOBODY = 65534
OPEN_FILES = 32
STACK_BYTES = 8 * 2**20
LONGEST_FRAME = 2**26
ENCODE = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
DECODE = json.JSONDecoder().decode
PLAIN = (int, bool, str, type(None))

Bound = tuple[int, tuple[int, int]]
"""Kind, soft and hard limit."""

libc = ctypes.CDLL(None, use_errno=True)


class Filter(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


class Rules(ctypes.Structure):
    """``struct landlock_ruleset_attr`` (linux/landlock.h): what is handled is denied, since no rule allows anything."""

    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def set_process(option: int, value: Any, more: Any = 0) -> None:
    """One `prctl(2)` that must succeed."""
    if libc.prctl(option, value, more, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def filter_of(steps: bytes) -> Filter | None:
    """A seccomp program ready to be applied; None for an empty one."""
    return Filter(len(steps) // 8, steps) if steps else None


def ruleset() -> int | None:
    """A Landlock ruleset without any rule, as a descriptor that children inherit; None where the kernel has no Landlock."""
    version = libc.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), LANDLOCK_VERSION)
    if version < 1:
        return None
    files = 13 + (version >= 2) + (version >= 3) + (version >= 5)
    rules = Rules(2**files - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = ctypes.c_size_t(24 if version >= 6 else 16 if version >= 4 else 8)
    found = libc.syscall(LANDLOCK_CREATE, ctypes.byref(rules), size, 0)
    return found if found >= 0 else None


def bounds(limits: dict[str, Any]) -> tuple[Bound, ...]:
    """Resource limits of every child; where this process is bound to less already, they are that."""
    wanted = {
        resource.RLIMIT_AS: (limits["memory_bytes"], limits["memory_bytes"]),
        resource.RLIMIT_CPU: (limits["cpu_seconds"], limits["cpu_seconds"] + 1),
        resource.RLIMIT_STACK: (STACK_BYTES, STACK_BYTES),
        resource.RLIMIT_NOFILE: (OPEN_FILES, OPEN_FILES),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    ceilings = {kind: resource.getrlimit(kind)[1] for kind in wanted}
    return tuple(
        (
            kind,
            pair if ceilings[kind] == resource.RLIM_INFINITY else (min(pair[0], ceilings[kind]), min(pair[1], ceilings[kind])),
        )
        for kind, pair in wanted.items()
    )


def confine(job: int, limited: tuple[Bound, ...], zygote: int, landlock: int | None, seccomp: Filter | None) -> None:
    """Leave the zygote behind: own session, one descriptor, no other user's rights, no file, hardly a system call."""
    os.setsid()
    if landlock is not None:
        restrict(landlock)
    if job != JOB:
        os.dup2(job, JOB)
    os.closerange(FIRST_CLOSED, LAST_CLOSED)
    if os.geteuid() == 0:
        drop_root()
    for kind, pair in limited:
        resource.setrlimit(kind, pair)
    set_process(PR_SET_DUMPABLE, 0)
    set_process(PR_SET_PDEATHSIG, int(signal.SIGKILL))  # after the change of user, which would undo both
    if os.getppid() != zygote:
        os._exit(1)
    if seccomp is not None:
        set_process(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(seccomp))


def restrict(landlock: int) -> None:
    """Give up the file system, and signals and abstract sockets beyond this process where the kernel can."""
    if libc.syscall(LANDLOCK_RESTRICT, landlock, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")


def drop_root() -> None:
    """Become nobody; where that's not allowed, root within a user namespace stays what it is."""
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except PermissionError:
        return


def read_frame() -> Any:
    """The next JSON value: four bytes of length, then text."""
    return DECODE(read_text())


def read_text() -> str:
    """The next frame's text."""
    length = int.from_bytes(read_exactly(4), "big")
    if length > LONGEST_FRAME:
        os._exit(1)
    return read_exactly(length).decode()


def read_exactly(count: int) -> bytes:
    """Exactly that many bytes, and not one of what follows."""
    pieces = []
    while count:
        piece = os.read(JOB, count)
        if not piece:
            os._exit(1)
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def write_text(text: str) -> None:
    """One frame."""
    data = text.encode()
    rest = memoryview(len(data).to_bytes(4, "big") + data)
    while rest:
        rest = rest[os.write(JOB, rest) :]


def answer(status: str, outputs: str = "", detail: str = "") -> NoReturn:
    """Write the only frame that counts, and end."""
    write_text(f'{{"status":"{status}","detail":{ENCODE(detail)},"outputs":[{outputs}]}}')
    os._exit(0)


def named(error: BaseException) -> str:
    """An error by its name alone: messages may hold addresses, which differ from run to run."""
    return type(error).__name__ if type(error).__module__ == "builtins" else "Exception"


def plain(value: Any) -> bool:
    """Exactly JSON's types, all the way down: no subclass, no tuple, no NaN."""
    kind = type(value)
    if kind is list:
        return all(map(plain, value))
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(plain, value.values()))
    return kind in PLAIN or (kind is float and math.isfinite(value))


def load(frame: dict[str, Any]) -> Any:
    """Run the source as a module and find the entry."""
    namespace: dict[str, Any] = {"__name__": "candidate"}
    try:
        exec(compile(frame["source"], "<candidate>", "exec", dont_inherit=True), namespace)  # noqa: S102
        return namespace[frame["entry"]]
    except MemoryError:
        answer("MEMORY")
    except BaseException as error:  # noqa: BLE001
        answer("LOAD_ERROR", detail=named(error))


def called(function: Any, value: Any) -> str:
    """What the function returns, as JSON text, at once: nothing that runs later can change it."""
    try:
        output = function(value)
    except MemoryError:
        answer("MEMORY")
    except BaseException as error:  # noqa: BLE001
        answer("FAIL", detail=named(error))
    try:
        if plain(output):
            return ENCODE(output)
    except MemoryError:
        answer("MEMORY")
    except BaseException as error:  # noqa: BLE001
        answer("BAD_OUTPUT", detail=named(error))
    answer("BAD_OUTPUT", detail="TypeError")


def candidate(limits: dict[str, Any]) -> NoReturn:
    """One job, from its first frame to its answer."""
    frame = read_frame()
    if frame.get("role") == "tester":
        test(frame)
    function = load(frame)
    if frame.get("role") == "served":
        serve_calls(function)
    texts: list[str] = []
    size = 0
    for value in read_frame():
        texts.append(called(function, value))
        size += len(texts[-1]) + 1
        if size > limits["output_bytes"]:
            answer("OUTPUT_LIMIT")
    answer("PASS", ",".join(texts))


# ------------------------------------------------------------------------------- the two halves of an assert script


def serve_calls(function: Any) -> NoReturn:
    """Answer one call after the other (`codec`); whoever tests it is in another process, and its text never comes here."""
    while True:
        positional, named_arguments = codec.decode(read_text())
        try:
            text = codec.encode((True, function(*positional, **named_arguments)))
        except MemoryError:
            answer("MEMORY")
        except BaseException as error:  # noqa: BLE001
            text = codec.encode((False, named(error)))
        write_text(text)


def test(frame: dict[str, Any]) -> NoReturn:
    """Run a test script whose subject is elsewhere: what comes back is data, and this process says how the script ended."""

    def subject(*positional: Any, **named_arguments: Any) -> Any:
        write_text(codec.encode((positional, named_arguments)))
        returned, value = codec.decode(read_text())
        if returned:
            return value
        raise raised(value)

    namespace = {"__name__": "tests", frame["entry"]: subject, "candidate": subject}
    try:
        exec(compile(frame["source"], "<tests>", "exec", dont_inherit=True), namespace)  # noqa: S102
    except MemoryError:
        answer("MEMORY")
    except BaseException as error:  # noqa: BLE001
        answer("FAIL", detail=named(error))
    answer("PASS")


def raised(name: Any) -> BaseException:
    """The built-in exception of that name: what the subject raised, as far as a test may know it."""
    import builtins

    kind = getattr(builtins, name, None) if type(name) is str else None
    return kind() if isinstance(kind, type) and issubclass(kind, Exception) else Exception(name)
