"""What a candidate can find in its own memory: nothing of another job, before it, beside it or after it (T05)."""

from __future__ import annotations

import secrets

from loopwright.sandbox import Job, Sandbox

HOLDER = "SECRET = '{mark}' * 50\ndef f(x):\n    import time\n    kept = [SECRET + str(n) for n in range(200)]\n    return [len(kept), x[:8]]\n"
SCAN = r"""
import ctypes, errno, gc, re, sys
LOOK = re.compile(rb"leaked-[0-9a-f]{32}")  # which is no match of itself
libc = ctypes.CDLL(None, use_errno=True)
MASK = 14 if "x86" in sys.implementation._multiarch else 135
def mapped(page):  # rt_sigprocmask reads the set before it says that there is no such way to change it: EINVAL, or EFAULT
    libc.syscall(ctypes.c_long(MASK), ctypes.c_long(99), ctypes.c_void_p(page), None, ctypes.c_size_t(8))
    return ctypes.get_errno() == errno.EINVAL
def pages():
    seen = set()
    things = [each for thing in gc.get_objects() for each in (thing, *gc.get_referents(thing))]
    things += [each for module in sys.modules.values() for each in vars(module).values()]
    for start in {id(thing) & ~4095 for thing in things}:
        for step in (4096, -4096):
            page = start
            while page not in seen and len(seen) < 2**13 and mapped(page):
                seen.add(page)
                page += step
            if step > 0:
                seen.discard(start)
        seen.add(start)
    return sorted(seen)
def f(x):
    found, read, tail = set(), 0, b""
    for page in pages():
        if not mapped(page):  # given back meanwhile
            continue
        piece = ctypes.string_at(page, 4096)
        read += len(piece)
        found.update(each.decode() for each in LOOK.findall(tail + piece))
        tail = piece[-64:]
    return [sorted(found), read >= 2**21]
"""
"""All memory that hangs together with any object that can be found: the interpreter's arenas and heap, several megabytes."""


def mark() -> str:
    return f"leaked-{secrets.token_hex(16)}"


def test_no_job_finds_another_in_its_memory(jail: Sandbox) -> None:
    others = [mark() for _ in range(6)]
    holders = [Job(source=HOLDER.format(mark=each), entry="f", inputs=(each, each)) for each in others]
    scans = [Job(source=SCAN, entry="f", inputs=(0,)) for _ in range(6)]
    outcomes = jail.run([job for pair in zip(holders, scans, strict=True) for job in pair] + scans)
    assert [outcome.status for outcome in outcomes] == ["PASS"] * 18
    seen = [outcome.outputs[0] for outcome in (*outcomes[1:12:2], *outcomes[12:])]
    assert seen == [[[], True]] * 12


def test_the_scan_finds_what_is_there(jail: Sandbox) -> None:
    own = mark()
    outcome = jail.run(
        [Job(source=SCAN + f"\nOWN = ['{own}'] * 2\n", entry="f", inputs=(0,)), Job(source=SCAN, entry="f", inputs=(own,))]
    )
    assert [each.outputs[0][0] for each in outcome] == [[own], [own]]
