"""How training compute is reckoned and compared: Annex A of the Commission's guidelines on general-purpose AI models (July 2025).

Numbers only. Whether a model is one with systemic risk is for the person who classifies it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = [
    "MARGIN",
    "THRESHOLDS",
    "VECTORS",
    "Threshold",
    "Vector",
    "agree",
    "forward",
    "hardware",
    "one_third",
    "peak",
    "significant",
    "standing",
    "updates",
]

MARGIN = 0.30
"""An estimate may be off by so much (par. 123)."""


def updates(parameters: float, tokens: float, trained: float | None = None) -> float:
    """Forward and backward passes: 6·P·D (par. 131-132), or (4·P + 2·P')·D where only P' of the parameters are trained."""
    return float((4 * parameters + 2 * (parameters if trained is None else trained)) * tokens)


def forward(parameters: float, tokens: float) -> float:
    """Forward passes alone: 2·P·tokens, prompts and discarded samples included (par. 120)."""
    return float(2 * parameters * tokens)


def hardware(units: float, seconds: float, peak_flops: float, utilisation: float) -> float:
    """N·L·H·U (par. 126): processing units, seconds, peak operations a second of each, and the share of it that was used."""
    return units * seconds * peak_flops * utilisation


def significant(value: float, digits: int = 2) -> float:
    """Rounded to significant figures; a notification wants two (par. 32)."""
    return float(f"{value:.{digits - 1}e}") if value else 0.0


def agree(first: float, second: float) -> bool:
    """Whether the second lies within 30 % of the first, which is the one reported."""
    return abs(second - first) <= MARGIN * first


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A number of operations that a rule speaks of."""

    flop: float
    of: str
    """``direct`` or ``cumulative``."""
    ref: str


THRESHOLDS = (
    Threshold(flop=1e23, of="direct", ref="C(2025) 5045, par. 17"),
    Threshold(flop=1e25, of="cumulative", ref="Regulation (EU) 2024/1689, Art. 51(2)"),
    Threshold(flop=1e26, of="cumulative", ref="California SB 53; New York RAISE"),
)


def standing(value: float, threshold: float) -> str:
    """``below`` or ``above`` where all of plus and minus 30 % is, else ``within-margin``: a comparison, no conclusion."""
    if value * (1 + MARGIN) < threshold:
        return "below"
    return "above" if value * (1 - MARGIN) >= threshold else "within-margin"


def one_third(modification: float, original: float | None, *, systemic: bool | None) -> dict[str, Any]:
    """Compute of a modification of someone else's model, and a third of the original's (par. 63).

    Of an unknown original a third of 10^25 where it is a model with systemic risk, else of 10^23 (par. 64); where that is not
    known either, the lower one, which is passed first.
    """
    assumed = None if original is not None else (1e25 if systemic else 1e23)
    limit = (original if original is not None else assumed or 0.0) / 3
    return {
        "modification": modification,
        "original": original,
        "assumed": assumed,
        "limit": limit,
        "standing": standing(modification, limit),
    }


@cache
def _devices() -> tuple[Mapping[str, str], ...]:
    text = files("loopwright.report.compute").joinpath("devices.csv").read_text("utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def peak(device: Mapping[str, Any], instructions: str = "") -> tuple[float, str] | None:
    """Peak operations a second of one unit and where the number is from; None where nothing is known.

    A CPU's is an estimate for each thread: clock x operations a cycle of its widest instructions (``environment.cpu``).
    """
    if device["kind"] == "cuda":
        for row in _devices():
            if row["name"] in device["name"]:
                return float(row["dense_flops"]), f"{row['name']}: {row['source']}"
        return None
    cycle = _per_cycle(instructions.split())
    if "mhz" not in device or cycle is None:
        return None
    threads = int(device["threads"])
    return threads * device["mhz"] * 1e6 * cycle, f"{threads} x {device['mhz']} MHz x {cycle} FLOP"


def _per_cycle(instructions: list[str]) -> int | None:
    """Of float32, with two units for multiply-and-add: a usual core's."""
    for name, cycle in (("avx512f", 64), ("fma", 32), ("avx", 16), ("sve", 32), ("asimd", 16)):
        if name in instructions:
            return cycle
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """A worked example of the guidelines (Annex A.3): what goes in, and what the guidelines say comes out."""

    id: str
    stated: float
    digits: int
    """Significant figures in which the guidelines state it."""
    parameters: float = 0.0
    tokens: float = 0.0
    unit_seconds: float = 0.0
    peak_flops: float = 0.0
    utilisation: float = 0.0

    @property
    def value(self) -> float:
        """By this program, with the same functions by which a loop's compute is reckoned."""
        if self.tokens:
            return updates(self.parameters, self.tokens)
        return hardware(1, self.unit_seconds, self.peak_flops, self.utilisation)

    @property
    def inputs(self) -> str:
        """As a formula."""
        if self.tokens:
            return f"6 · {self.parameters:g} · {self.tokens:g}"
        return f"{self.unit_seconds / 3600:g} h · 3600 · {self.peak_flops:g} · {self.utilisation:g}"

    @property
    def holds(self) -> bool:
        """Whether both are the same in the figures stated."""
        return math.isclose(significant(self.value, self.digits), self.stated, rel_tol=1e-9)


VECTORS = (
    Vector(id="A", parameters=3.8e9, tokens=3.3e12, stated=7.5e22, digits=2),
    Vector(id="B", unit_seconds=200_000 * 3600.0, peak_flops=300e12, utilisation=0.5, stated=1e23, digits=1),
    Vector(id="C", parameters=0.6e9, tokens=36e12, stated=1.3e23, digits=2),
    Vector(id="D", parameters=1.54e9, tokens=18e12, stated=1.663e23, digits=4),
    Vector(id="E", parameters=1.7e9, tokens=36e12, stated=3.7e23, digits=2),
    Vector(id="F", parameters=2.5e9, tokens=12e12, stated=1.8e23, digits=2),
)
"""Models A to F."""
