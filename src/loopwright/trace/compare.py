"""An artifact beside the recorded one: the same bytes, within a stated tolerance, or different and where first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from loopwright.store.hashing import measure
from loopwright.types import Manifest

__all__ = ["Comparison", "Tolerance", "compare"]

Verdict = Literal["identical", "within", "different", "failed"]
"""``failed``: the phase could not be run, which says nothing about the artifact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What two machines may differ in without being different: float32 sums come out otherwise in the last bits."""

    weights: float = 1e-3
    """Largest difference of any one weight."""
    agreement: float = 0.99
    """Least share of tasks with the same verdict, of answers and of accepted rows that are the same."""
    figures: float = 0.01
    """Largest difference of any figure of a card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One artifact."""

    phase: str
    kind: str
    path: str
    verdict: Verdict
    where: str
    """The first place that differs; empty where none does. Of a failed phase, why."""
    recorded: str = ""
    made: str = ""
    """Digests."""
    measured: Mapping[str, float] | None = None
    """What was compared with the tolerance, by its name."""

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def compare(phase: str, path: str, recorded: Path, made: Path, manifest: Manifest, tolerance: Tolerance) -> Comparison:
    """Compare what was made with the recorded artifact, whose manifest is given."""
    kind = manifest.kind
    now = measure(made, kind).manifest if made.exists() else Manifest(kind=kind, files=())
    told = {"phase": phase, "kind": kind, "path": path, "recorded": manifest.digest, "made": now.digest}
    if now == manifest:
        return Comparison(**told, verdict="identical", where="")
    then = {file.path: file.sha256 for file in manifest.files}
    seen = {file.path: file.sha256 for file in now.files}
    changed = [name for name in sorted(then.keys() | seen.keys()) if then.get(name) != seen.get(name)]
    lost = [name for name in changed if name not in then or name not in seen]
    where = _first(recorded, made, changed[0]) if not lost else f"{lost[0]} is {'missing' if lost[0] in then else 'new'}"
    near = _NEAR.get(kind)
    value = near(recorded, made, changed) if near and not lost else None
    if value is None:
        return Comparison(**told, verdict="different", where=where)
    name, found = value
    limit = getattr(tolerance, name)
    fits = found >= limit if name == "agreement" else found <= limit
    return Comparison(**told, verdict="within" if fits else "different", where=where, measured={name: found})


def _file(place: Path, name: str) -> Path:
    return place / name if place.is_dir() else place


def _first(recorded: Path, made: Path, name: str) -> str:
    """The first place in the first file that differs: a row, a tensor, a byte."""
    then, now = _file(recorded, name), _file(made, name)
    if name.endswith(".parquet"):
        return f"{name}, {_first_row(pl.read_parquet(then), pl.read_parquet(now))}"
    if name.endswith(".safetensors"):
        tensor, difference = max(_tensors(then, now), key=lambda pair: pair[1], default=("", 0.0))
        return f"{name}, most in {tensor} (by {difference:.3g})"
    old, new = then.read_bytes(), now.read_bytes()
    place = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    return f"{name}, byte {place}"


def _first_row(then: pl.DataFrame, now: pl.DataFrame) -> str:
    if then.schema != now.schema:
        return "in its columns"
    if then.height != now.height:
        return f"{now.height} rows instead of {then.height}"
    for name in then.columns:
        differs = (then[name].ne_missing(now[name])).arg_max()
        if differs is not None and then[name].ne_missing(now[name]).any():
            return f"row {differs}, column {name}"
    return "in how it is written"


def _tensors(then: Path, now: Path) -> Iterator[tuple[str, float]]:
    """Largest difference by tensor; infinite where names or shapes differ."""
    from safetensors.numpy import load_file

    old, new = load_file(then), load_file(now)
    for name in sorted(old.keys() | new.keys()):
        same = name in old and name in new and old[name].shape == new[name].shape
        yield name, float(abs(old[name].astype("float64") - new[name].astype("float64")).max()) if same else float("inf")


def _near_model(recorded: Path, made: Path, changed: list[str]) -> tuple[str, float] | None:
    """Weights may be near; the recipe may not. The loss curve follows from them."""
    weights = [name for name in changed if name.endswith(".safetensors")]
    if any(name not in weights and Path(name).name != "training.json" for name in changed):
        return None
    worst = [most for name in weights for _, most in _tensors(recorded / name, made / name)]
    return "weights", max(worst, default=0.0)


def _near_evaluation(recorded: Path, made: Path, changed: list[str]) -> tuple[str, float] | None:
    shares = []
    for name in ("gate.parquet", "sealed.parquet"):
        then, now = (pl.read_parquet(place / name, columns=["task", "passed"]) for place in (recorded, made))
        both = then.join(now, on="task", how="full", suffix="_now")
        same = both.filter(pl.col("passed") == pl.col("passed_now")).height
        shares.append(same / max(1, both.height))
    return "agreement", min(shares)


def _near_rows(recorded: Path, made: Path, changed: list[str]) -> tuple[str, float] | None:
    """Share of rows that both have, of all that either has: accepted and refused ones, every column of them."""
    then, now = (_rows(place) for place in (recorded, made))
    if then.schema != now.schema:
        return "agreement", 0.0
    shared = then.join(now, on=then.columns, how="semi", nulls_equal=True).height
    return "agreement", shared / max(1, then.height + now.height - shared)


def _rows(place: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted(place.glob("*.parquet"))], how="diagonal")


def _near_figures(recorded: Path, made: Path, changed: list[str]) -> tuple[str, float] | None:
    worst = 0.0
    for name in changed:
        if not name.endswith(".json"):
            return None
        then, now = (dict(_numbers(json.loads((place / name).read_bytes()))) for place in (recorded, made))
        if then.keys() != now.keys():
            return None
        worst = max([worst, *(abs(then[key] - now[key]) for key in then)])
    return "figures", worst


def _numbers(value: Any, at: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{at}.{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _numbers(item, f"{at}.{place}")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield at, float(value)


_NEAR: Mapping[str, Callable[[Path, Path, list[str]], tuple[str, float] | None]] = {
    "model": _near_model,
    "evaluation": _near_evaluation,
    "proposals": _near_rows,
    "accepted": _near_rows,
    "card": _near_figures,
}
"""What may be near; everything else is the same or different."""
