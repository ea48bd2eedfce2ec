"""What a candidate can find in its own memory: nothing of another job, before it, beside it or after it (T05)."""

from __future__ import annotations

import secrets

from loopwright.sandbox import Job, Sandbox

HOLDER = "SECRET = '{mark}' * 50\ndef f(x):\n    import time\n    kept = [SECRET + str(n) for n in range(200)]\n    return [len(kept), x[:8]]\n"
SCAN = r"""
import ctypes, gc, re, sys
LOOK = re.compile(rb"leaked-[0-9a-f]{32}")  # which is no match of itself
def maps():
    try:
        with open("/proc/self/maps") as text:
            for line in text:
                span, rights, *rest = line.split()
                if rights.startswith("rw") and "[v" not in line:
                    yield tuple(int(each, 16) for each in span.split("-"))
    except OSError:  # the pages on which objects live; all of them are mapped
        pages = {id(thing) & ~4095 for thing in gc.get_objects()}
        pages |= {id(thing) & ~4095 for each in gc.get_objects() for thing in gc.get_referents(each)}
        yield from ((page, page + 4096) for page in sorted(pages))
def f(x):
    found, read = set(), 0
    for begin, end in maps():
        try:
            piece = ctypes.string_at(begin, end - begin)
        except MemoryError:
            continue
        read += len(piece)
        found.update(each.decode() for each in LOOK.findall(piece))
    return [sorted(found), read > 2**20]
"""


def mark() -> str:
    return f"leaked-{secrets.token_hex(16)}"


def test_no_job_finds_another_in_its_memory(jail: Sandbox) -> None:
    others = [mark() for _ in range(12)]
    holders = [Job(source=HOLDER.format(mark=each), entry="f", inputs=(each, each)) for each in others]
    scans = [Job(source=SCAN, entry="f", inputs=(0,)) for _ in range(12)]
    jobs = [job for pair in zip(holders, scans, strict=True) for job in pair] + scans
    outcomes = jail.run(jobs)
    assert [outcome.status for outcome in outcomes[0:24:2]] == ["PASS"] * 12
    seen = [outcome.outputs[0] for outcome in (*outcomes[1:24:2], *outcomes[24:])]
    assert [found for found, _ in seen] == [[]] * 24
    assert all(enough for _, enough in seen)


def test_the_scan_finds_what_is_there(jail: Sandbox) -> None:
    own = mark()
    outcome = jail.run(
        [Job(source=SCAN + f"\nOWN = ['{own}'] * 2\n", entry="f", inputs=(0,)), Job(source=SCAN, entry="f", inputs=(own,))]
    )
    assert [each.outputs[0][0] for each in outcome] == [[own], [own]]
