"""A small real ledger: a seed cycle, two promotions, a rejection, and a cycle that is open or has failed.

Written through the real `Ledger` with keys of its own, so that what reads it (the app, the reports) reads what a loop writes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loopwright.ledger import Ledger
from loopwright.ledger.signer import LocalSigner
from loopwright.types import Artifact, Digest, digest_bytes

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
LEVELS = range(2, 9)
HEADLINE = (0.08, 0.19, 0.27, 0.26, 0.31)
HOSTILE = "<img src=x onerror=alert(1)> **bold** [link](https://example.org) :red[x] $x^2$ `y` :material/home:"
ROLES = {
    "seed": "controller", "generate": "generator", "verify": "verifier", "merge": "controller", "train": "trainer",
    "evaluate": "evaluator", "examine": "evaluator", "decide": "gate",
}  # fmt: skip
OUTPUTS = {
    "seed": ("suites", "heldout", "accepted", "archive"), "generate": ("proposals",), "verify": ("accepted",),
    "merge": ("archive",), "train": ("model",), "evaluate": ("evaluation",), "examine": ("card",), "decide": ("decision",),
}  # fmt: skip
SECONDS = {
    "seed": 3.2,
    "generate": 9.4,
    "verify": 2.1,
    "merge": 0.4,
    "train": 21.8,
    "evaluate": 7.3,
    "examine": 2.9,
    "decide": 0.3,
}
ACTIONS = ("promote", "promote", "promote", "reject")
CHAMPIONS = ("c0000", "c0001", "c0002", "c0002")
PARENTS = (None, "c0000", "c0001", "c0002", "c0002")


def digest(*parts: str) -> Digest:
    return digest_bytes("/".join(parts).encode())


def score(value: float, n: int) -> dict[str, Any]:
    """A Wilson interval, as the evaluate phase gives."""
    z = 1.959964
    centre, half = (value + z * z / (2 * n)) / (1 + z * z / n), z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    half /= 1 + z * z / n
    return {
        "value": round(value, 4),
        "low": round(centre - half, 4),
        "high": round(centre + half, 4),
        "n": n,
        "method": "wilson 95%",
    }


def packages(phase: str) -> dict[str, Digest]:
    """What a phase's code digest covers: its own package, and the plug-ins that all share."""
    own = {"seed": "generate", "merge": "verify", "examine": "evaluate", "decide": "gate"}.get(phase, phase)
    return {name: digest("package", name) for name in (f"loopwright.{own}", "loopwright.domains", "loopwright.models")}


def suite(headline: float) -> dict[str, Any]:
    levels = {str(level): score(max(0.005, min(0.99, headline * (2.9 - 0.42 * (level - 2)))), 58) for level in LEVELS}
    return {"all": score(0.35 + headline / 2, 406), "headline": score(headline, 290), "levels": levels}


def summary(phase: str, number: int) -> dict[str, Any]:
    accepted = 120 + 210 * number
    rows = 2000 + sum(120 + 210 * cycle for cycle in range(1, number + 1))
    level = HEADLINE[number]
    return {
        "seed": lambda: {"human_rows": 2029, "gate_tasks": 406, "sealed_tasks": 406, "refused": {"held out": 37}},
        "generate": lambda: {"kinds": ["rows"], "tasks": 1200, "rows": 4800, "tokens": 158_400},
        "verify": lambda: {
            "accepted": accepted,
            "refused": {"failed visible": 4800 - accepted - 341, "failed hidden": 41, "duplicate": 212, "held out": 88},
            "solved": {str(item): round(level, 3) for item in LEVELS},
            "isolation": {"SL3": 4712, "data": 88},
            "canaries": {"good": 7, "wrong": 7, "hostile": 7, "every": 1000},
        },
        "merge": lambda: {"rows": rows, "human": 2029, "synthetic": rows - 2029},
        "train": lambda: {
            "steps": 450 if number == 0 else 220, "tokens": 1_182_720, "loss_first": 1.71, "loss_last": 0.182,
            "parameters": 152_576, "workers": 2,
        },
        "evaluate": lambda: {
            "gate": suite(level + 0.02), "sealed": suite(level), "pass_at": None, "tokens": 41_200, "reused": number > 0,
            "isolation": {"SL3": 812}, "canaries": {"good": 3, "wrong": 3, "hostile": 3, "every": 1000},
        },
        "examine": lambda: {
            "figures": dict.fromkeys(("label_precision", "false_accept", "sentinel")) if number == 0 else {
                "label_precision": score(0.995, 200), "false_accept": score(0.01, 100), "sentinel": score(0.0, 256),
            },
            "stress": {}, "slices": {}, "tokens": 18_300, "isolation": {"SL3": 1_200},
        },
        "decide": lambda: _decision(number),
    }[phase]()  # fmt: skip


def _decision(number: int) -> dict[str, Any]:
    if number == 0:
        return {"action": "promote", "reasons": ["the seed model is the first champion"], "gain": None, "p_value": None, "alpha": None,
                "look": 0, "spent": 0.0, "lights": {"sentinel": "not measured"}}  # fmt: skip
    gain = HEADLINE[number] - HEADLINE[number - 1]
    passed = gain > 0.02
    return {
        "action": ACTIONS[number],
        "reasons": [f"paired gain {gain:+.3f} on 290 gate tasks is {'above' if passed else 'not above'} 0",
                    "no level below the headline fell by more than 0.05"],
        "gain": {"value": round(gain, 4), "low": round(gain - 0.041, 4), "high": round(gain + 0.041, 4), "n": 290,
                 "method": "paired bootstrap BCa 95%"},
        "p_value": 0.0004 if passed else 0.6713, "alpha": 0.02, "look": number, "spent": round(0.02 * number, 4),
        "lights": {"label_precision": "fine", "false_accept": "fine", "sentinel": "fine", "vendi": "warn"},
    }  # fmt: skip


class Recorder:
    """Writes a loop's entries one after another, with times that always come out the same."""

    def __init__(self, root: Path, *, demo: bool = True, name: str = "lab") -> None:
        self.clock = self._times()
        plan = digest("plan")
        self.ledger = Ledger.create(
            root, workspace="w-5f2c9a10", name=name, demo=demo, plan=plan, key_home=root / ".keys", signer=LocalSigner
        )

    @classmethod
    def again(cls, root: Path) -> Recorder:
        """Goes on with a loop that was recorded."""
        made = cls.__new__(cls)
        made.clock, made.ledger = cls._times(), Ledger.open(root, root / ".keys", signer=LocalSigner)
        return made

    @staticmethod
    def _times() -> Iterator[Callable[[float], str]]:
        moment = START
        while True:

            def later(seconds: float) -> str:
                nonlocal moment
                moment += timedelta(seconds=seconds)
                return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

            yield later

    def later(self, seconds: float = 0.0) -> str:
        return next(self.clock)(seconds)

    def open(self, number: int) -> None:
        cycle = f"c{number:04d}"
        code = {"generator": digest("code", "generator"), "judge": digest("code", "judge"), "flows": digest("flows")}
        predicate = {
            "cycle": cycle, "parent": PARENTS[number], "prev": f"c{number - 1:04d}" if number else None, "seed": 7000 + number,
            "plan": digest("plan"), "code": code, "lock": digest("lock"), "commit": "none", "fence": 1, "recipe": None,
            "opened_at": self.later(1.5),
        }  # fmt: skip
        self.ledger.append("open", [], predicate, role="controller", event=f"open:{cycle}")

    def phase(self, phase: str, number: int, said: dict[str, Any] | None = None) -> None:
        cycle, parent = f"c{number:04d}", PARENTS[number]
        outputs = [
            Artifact(
                kind=name, digest=digest(cycle, name), path=f"cycles/{cycle}/{name}{'.json' if name == 'decision' else ''}"
            )
            for name in OUTPUTS[phase]
        ]
        inputs = [{"name": "archive", "path": f"cycles/{cycle}/archive", "digest": digest(cycle, "archive")}]
        if parent is not None:
            inputs.append({"name": "model", "path": f"cycles/{parent}/model", "digest": digest(parent, "model")})
        predicate = {
            "cycle": cycle, "phase": phase, "key": digest("key", cycle, phase), "attempt": 1, "config": digest("config", phase),
            "inputs": inputs,
            "outputs": [{"name": one.kind, "kind": one.kind, "path": one.path, "digest": one.digest} for one in outputs],
            "summary": said or summary(phase, number), "environment": {"host": "node-1", "name": "ray", "workers": 2, "packages": packages(phase)},
            "code": digest("code", phase), "lock": digest("lock"), "started_at": self.later(),
            "finished_at": self.later(SECONDS[phase]), "seconds": SECONDS[phase],
        }  # fmt: skip
        self.ledger.append("phase", outputs, predicate, role=ROLES[phase], event=f"{cycle}:{phase}")

    def failure(self, phase: str, number: int, message: str) -> None:
        cycle = f"c{number:04d}"
        predicate = {
            "cycle": cycle, "phase": phase, "key": digest("key", cycle, phase), "attempt": 1, "error": "InfraError",
            "message": message, "started_at": self.later(), "failed_at": self.later(4.0),
        }  # fmt: skip
        self.ledger.append("failure", [], predicate, role="controller", event=f"{cycle}:{phase}:failed")

    def close(self, number: int, action: str = "") -> None:
        predicate = {
            "cycle": f"c{number:04d}", "action": action or ACTIONS[number], "champion": CHAMPIONS[number], "closed_at": self.later(0.8),
        }  # fmt: skip
        self.ledger.append("close", [], predicate, role="controller", event=f"close:c{number:04d}")
        self.ledger.sign_checkpoint()

    def turn(self, number: int) -> None:
        """One whole cycle."""
        phases = ("seed", "train", "evaluate", "examine", "decide") if number == 0 else tuple(itertools.islice(ROLES, 1, None))
        self.open(number)
        for phase in phases:
            self.phase(phase, number)
        self.close(number)

    def done(self) -> None:
        self.ledger.sign_checkpoint()
        self.ledger.close()


def record_loop(root: Path, cycles: int = 4, *, running: bool = False, failed: bool = False, demo: bool = True) -> Path:
    """A workspace at ``root`` with that many closed cycles, and one more in the middle of its train phase if asked."""
    recorder = Recorder(root, demo=demo)
    for number in range(cycles):
        recorder.turn(number)
    if running or failed:
        recorder.open(cycles)
        for phase in ("generate", "verify", "merge"):
            recorder.phase(phase, cycles)
    if failed:
        recorder.failure("train", cycles, "disk full in the train phase: <b>No space left</b> on device")
    recorder.done()
    return root


def record_held(root: Path) -> Path:
    """Three cycles, then one whose model waits for persons."""
    recorder = Recorder(root)
    for number in range(3):
        recorder.turn(number)
    recorder.open(3)
    for phase in tuple(itertools.islice(ROLES, 1, None)):
        recorder.phase(phase, 3, {**summary(phase, 3), **({"action": "hold"} if phase == "decide" else {})})
    recorder.close(3, "hold")
    recorder.done()
    return root


def record_hostile(root: Path) -> Path:
    """Three cycles, then one whose method, reasons and failure hold markup that must stay text."""
    recorder = Recorder(root)
    for number in range(3):
        recorder.turn(number)
    recorder.open(3)
    evaluated = summary("evaluate", 3)
    evaluated["gate"]["headline"]["method"] = HOSTILE
    recorder.phase("evaluate", 3, evaluated)
    recorder.phase("decide", 3, {**summary("decide", 3), "reasons": [HOSTILE]})
    recorder.failure("merge", 3, HOSTILE)
    recorder.done()
    return root
