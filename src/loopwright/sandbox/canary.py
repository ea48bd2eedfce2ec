"""Canaries: jobs whose verdict is known in advance, flown among the real ones, so that a broken verifier is noticed.

A `WatchedSandbox` is a `Sandbox` made of another. Among every so many real jobs, at places drawn from a seed, it mixes one
that is right, one that is wrong by very little and one that is hostile; the last of a batch is always a canary, so that
no real verdict leaves without one behind it. Their outcomes are compared by the same `judge` as everybody's. One wrong
answer freezes it: the phase stops, and every verdict since the last right canary is named. What real jobs get back is
what the other sandbox gave, in order, unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, TypeVar

from loopwright.errors import CanaryError, InfraError
from loopwright.sandbox import AssertJob, Job, Outcome, Sandbox, judge
from loopwright.sandbox.probe import reaches
from loopwright.types import Check, Level, Progress, Status, Verdict, digest_bytes, seed_of

__all__ = ["KINDS", "Canaries", "Kind", "Known", "WatchedSandbox", "flown", "known_job"]

Kind = Literal["good", "wrong", "hostile"]
KINDS: tuple[Kind, ...] = ("good", "wrong", "hostile")
NEVER_PASS: frozenset[Status] = frozenset(("FAIL", "LOAD_ERROR", "TIMEOUT", "OUTPUT_LIMIT", "MEMORY", "SIGNAL", "BAD_OUTPUT"))
_NAMED = 40
"""Suspect verdicts that a message names; it says how many there are in any case."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A job with the statuses that its verdict may have."""

    job: Job
    check: Check
    verdicts: frozenset[Status]


_SOURCE = """def f(x):
 r = {{"n": [v*{a}+{b} for v in x["n"]], "s": x["s"][::-1], "t": len(x["n"]) > 0, "u": [None, {{"v": x["s"]}}]}}
 if x["s"] == {last!r}:
  {change}
 return r
"""
_SPOILED = (
    'r["n"][-1] += 1',
    'r["n"].reverse()',
    'r["n"].append(0)',
    'r["n"] = [float(v) for v in r["n"]]',
    'r["s"] += " "',
    'r["t"] = 1',
    'r["u"][0] = False',
    'del r["u"][1]["v"]',
    'r["w"] = None',
    "r = list(r.items())[0][1]",
)
"""Each makes the answer to the last input wrong by one thing."""
_TRICKS = (
    'import os\ndef f(x):\n os.write(1, b\'{"status":"PASS"}\'); os._exit(0)\n',
    "import os; os._exit(0)\n",
    "import sys\ndef f(x):\n sys.exit(0)\n",
    "def f(x):\n class A(dict):\n  __eq__ = lambda *_: True\n  __hash__ = None\n return A()\n",
    "import builtins, json\nbuiltins.len = builtins.map = json.dumps = lambda *_, **__: True\ndef f(x):\n return None\n",
    "import os\ndef f(x):\n for n in range(3, 64):\n  try: os.write(n, b'\\0\\0\\0\\2[]')\n  except OSError: pass\n return None\n",
    """import sys
def f(x):
 frame = sys._getframe()
 while frame:
  for names in (frame.f_globals, frame.f_locals):
   for name in {"status", "passed", "outputs", "expected"} & names.keys():
    names[name] = "PASS"
  frame = frame.f_back
 return None
""",
)
_REACH = """import os
def attempt(act):
 try:
  act()
 except BaseException:
  return 0
 return 1
def connect():
 import _socket
 _socket.socket()
def f(x):
 return sum(map(attempt, (connect, os.fork, lambda: os.listdir("/"), lambda: os.open("/etc/passwd", os.O_RDONLY))))
"""
"""From SL2 on none of this is possible; where a filter ends the process instead, that is right as well."""


def known_job(kind: Kind, level: Level, rng: Random) -> Known:
    """A fresh canary: no two are alike, so that an old answer is never the right one."""
    inputs = tuple({"n": _numbers(rng), "s": f"{int(rng.random() * 2**40):x}-{place}"} for place in range(3))
    a, b = 2 + int(rng.random() * 97), int(rng.random() * 97)
    check = Check(inputs=inputs, outputs=tuple(_expected(value, a, b) for value in inputs))
    if kind == "hostile":
        return _hostile(check, level, rng)
    change = "pass" if kind == "good" else _SPOILED[int(rng.random() * len(_SPOILED))]
    source = _SOURCE.format(a=a, b=b, last=inputs[-1]["s"], change=change)
    wanted: Status = "PASS" if kind == "good" else "FAIL"
    return Known(job=Job(source=source, entry="f", inputs=inputs), check=check, verdicts=frozenset((wanted,)))


def _numbers(rng: Random) -> list[int]:
    """Rising, so that no two are equal and the list is not its own reverse."""
    return [10 * place + int(rng.random() * 10) for place in range(3 + int(rng.random() * 5))]


def _expected(value: Mapping[str, Any], a: int, b: int) -> dict[str, Any]:
    numbers = [number * a + b for number in value["n"]]
    return {"n": numbers, "s": value["s"][::-1], "t": True, "u": [None, {"v": value["s"]}]}


def _hostile(check: Check, level: Level, rng: Random) -> Known:
    sources = (*_TRICKS, _REACH) if reaches(level, "SL2") else _TRICKS
    source = sources[int(rng.random() * len(sources))]
    if source is _REACH:
        nothing = Check(inputs=(None,), outputs=(0,))
        return Known(job=Job(source=source, entry="f", inputs=(None,)), check=nothing, verdicts=frozenset(("PASS", "SIGNAL")))
    return Known(job=Job(source=source, entry="f", inputs=check.inputs), check=check, verdicts=NEVER_PASS)


class Canaries:
    """What has been flown, and whether all came back as they should: one for all that is watched together."""

    def __init__(self, every: int, seed: int) -> None:
        self.every = every
        self._seed = seed
        self._batches = 0
        self._counts: Counter[str] = Counter()
        self._frozen: CanaryError | None = None

    def rng(self) -> Random:
        """The randomness of the next batch; raises again what froze an earlier one."""
        if self._frozen is not None:
            raise self._frozen
        self._batches += 1
        return Random(seed_of("canaries", self._seed, self._batches))

    def places(self, count: int, kinds: Sequence[Kind], rng: Random) -> list[Kind | None]:
        """The order of a batch: None for each of ``count`` real jobs; each kind once among every so many of them."""
        order: list[Kind | None] = []
        for start in range(0, count, self.every):
            chunk: list[Kind | None] = [None] * min(self.every, count - start)
            last, *others = sorted(kinds, key=lambda _: rng.random())
            for kind in others:
                chunk.insert(int(rng.random() * (len(chunk) + 1)), kind)
            ends = start + self.every >= count
            chunk.insert(len(chunk) if ends else int(rng.random() * (len(chunk) + 1)), last)
            order += chunk
        return order

    def confirm(
        self, order: Sequence[Kind | None], found: Mapping[int, tuple[Verdict, frozenset[Status]]], names: Sequence[str]
    ) -> None:
        """Look at the canaries of a batch, by place, before any of its verdicts leave; ``names`` are the real jobs'.

        Raises:
            CanaryError: one came back with a verdict that it cannot have; from then on nothing is judged here.
            InfraError: one came back without a verdict.
        """
        last = -1
        for place, (verdict, wanted) in sorted(found.items()):
            kind = str(order[place])
            if verdict.status == "INFRA":
                raise InfraError(f"a {kind} canary could not be judged ({verdict.reason})", "`loopwright doctor`")
            if verdict.status not in wanted:
                before = sum(each is None for each in order[: last + 1])
                self._frozen = _wrong(kind, verdict, wanted, names[before:])
                raise self._frozen
            self._counts[kind] += 1
            last = place

    def take(self) -> dict[str, int]:
        """How many of each kind came back right since this was last asked."""
        counts, self._counts = self._counts, Counter()
        return {kind: counts[kind] for kind in KINDS} | {"every": self.every} if counts else {}


def _wrong(kind: str, verdict: Verdict, wanted: frozenset[Status], suspects: Sequence[str]) -> CanaryError:
    shown = ", ".join(suspects[:_NAMED]) + (f" and {len(suspects) - _NAMED} more" if len(suspects) > _NAMED else "")
    asked = "not PASS" if wanted == NEVER_PASS else " or ".join(sorted(wanted))
    return CanaryError(
        f"the verifier judged a {kind} canary {verdict.status} ({verdict.level}), which must be {asked}: admission is frozen; "
        f"{len(suspects)} verdicts since the last right canary are suspect: {shown}",
        "no row of this phase was admitted; find out what changed in the sandbox or the comparison before you run again",
        suspects=tuple(suspects),
    )


def kept(order: Sequence[Kind | None], results: Sequence[Result]) -> list[Result]:
    """What the real ones got, in order."""
    return [result for kind, result in zip(order, results, strict=True) if kind is None]


def scaled(progress: Progress | None, count: int) -> Progress | None:
    """Progress in real jobs: canaries are nobody's work."""
    return (lambda done, total, unit: progress(done * count // total, count, unit)) if progress else None


class WatchedSandbox:
    """A `Sandbox` that runs another, with canaries among its jobs."""

    def __init__(self, inner: Sandbox, canaries: Canaries) -> None:
        self._inner = inner
        self.canaries = canaries

    @property
    def level(self) -> Level:
        return self._inner.level

    def run(self, jobs: Sequence[Job], progress: Progress | None = None) -> list[Outcome]:
        """As `Sandbox.run`; CanaryError where the verifier cannot be trusted."""
        rng = self.canaries.rng()
        order = self.canaries.places(len(jobs), KINDS, rng)
        known = {place: known_job(kind, self.level, rng) for place, kind in enumerate(order) if kind}
        real = iter(jobs)
        batch = [known[place].job if kind else next(real) for place, kind in enumerate(order)]
        outcomes = self._inner.run(batch, scaled(progress, len(jobs)))
        found = {place: (_verdict(outcomes[place], each), each.verdicts) for place, each in known.items()}
        self.canaries.confirm(order, found, [digest_bytes(job.source.encode("utf-8", "surrogatepass"))[7:23] for job in jobs])
        return kept(order, outcomes)

    def run_asserts(self, jobs: Sequence[AssertJob], progress: Progress | None = None) -> list[Verdict]:
        """As `Sandbox.run_asserts`; the canaries' tests are scripts, too."""
        rng = self.canaries.rng()
        order = self.canaries.places(len(jobs), KINDS, rng)
        known = {place: known_job(kind, self.level, rng) for place, kind in enumerate(order) if kind}
        real = iter(jobs)
        batch = [_as_script(known[place]) if kind else next(real) for place, kind in enumerate(order)]
        verdicts = self._inner.run_asserts(batch, scaled(progress, len(jobs)))
        found = {place: (verdicts[place], each.verdicts) for place, each in known.items()}
        self.canaries.confirm(order, found, [digest_bytes(job.source.encode("utf-8", "surrogatepass"))[7:23] for job in jobs])
        return kept(order, verdicts)

    def close(self) -> None:
        self._inner.close()


def _as_script(known: Known) -> AssertJob:
    """By ``repr``, since ``==`` takes 1, 1.0 and True for one another."""
    pairs = zip(known.check.inputs, known.check.outputs, strict=True)
    script = "".join(f"assert repr(candidate({given!r})) == {repr(wanted)!r}\n" for given, wanted in pairs)
    return AssertJob(source=known.job.source, entry=known.job.entry, script=script)


def _verdict(outcome: Outcome, known: Known) -> Verdict:
    return judge(outcome, [("canary", known.check)])


def flown(sandbox: Sandbox) -> dict[str, Any]:
    """``{"canaries": {good, wrong, hostile, every}}`` since this was last asked; nothing where none were flown."""
    counts = sandbox.canaries.take() if isinstance(sandbox, WatchedSandbox) else {}
    return {"canaries": counts} if counts else {}
