"""What a cycle ran in and by which code, as the record says it, and what is here now: to name what may explain a difference."""

from __future__ import annotations

import platform
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.identity import lock_digest
from loopwright.ledger.fold import CycleRecord
from loopwright.plan import Plan
from loopwright.prompts import generator_code, judge_code
from loopwright.runtime.jobs import instruction_sets
from loopwright.types import digest_bytes, digest_value

__all__ = ["differences", "here", "recorded"]

NOT_RECORDED = "not recorded"
"""Said of what an earlier version of the program did not write down."""


def recorded(cycle: CycleRecord) -> dict[str, Any]:
    """Code digests, lock, and where the phases ran; of several hosts all are named. What a phase drew is a reading, no place."""
    seen: dict[str, set[str]] = {}
    for done in cycle.phases.values():
        for name, value in done.environment.items():
            if name not in {"energy", "energy_kwh"}:
                seen.setdefault(name, set()).add(str(value))
    return {**cycle.pins, **{name: " | ".join(sorted(values)) for name, values in sorted(seen.items())}}


def here(root: Path, plan: Plan) -> dict[str, Any]:
    """The same of this process, with the flows and the plug-ins of the workspace at ``root``."""
    flows = {path.name: digest_bytes(path.read_bytes()) for path in sorted((root / "flows").glob("*.py"))}
    return {
        "generator": generator_code(root, plan),
        "judge": judge_code(root, plan),
        "flows": digest_value(flows),
        "lock": lock_digest(),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "cpu": instruction_sets(),
        "executor": "in-process",
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By name what differs, of what both could say."""
    return {
        name: {"then": then.get(name, NOT_RECORDED), "now": value}
        for name, value in now.items()
        if then.get(name, NOT_RECORDED) != value
    }
