"""Draws docs/curve.svg from the per-cycle scores that `benchmarks/gain.py` keeps: the loop and its two control arms.

python benchmarks/curve.py
"""

from __future__ import annotations

import json
from pathlib import Path

import altair as alt
import polars as pl
import vl_convert

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "results" / "gain"
ARMS = {
    "loop": "the loop (verified, gated)",
    "unverified": "control: nothing verified",
    "human-only": "control: human data only",
}
COLOURS = ["#1f4e79", "#b8860b", "#8a8a8a"]


def champions(arm: str, seed: int) -> list[dict[str, object]]:
    """The champion's sealed headline score after each cycle of one run."""
    curve = json.loads((KEPT / f"{arm}-{seed}.json").read_text(encoding="utf-8"))["curve"]
    rows, best = [], 0.0
    for number, (_cycle, decision, _gate, sealed, _accepted) in enumerate(curve):
        best = sealed["value"] if decision == "promote" and sealed else best
        rows.append({"cycle": number, "score": best, "arm": ARMS[arm], "seed": seed})
    return rows


def main() -> None:
    """Write the picture."""
    names = [path.stem for path in KEPT.glob("*-?.json")]
    found = [row for name in sorted(names) for row in champions(*_split(name))]
    base = alt.Chart(pl.DataFrame(found)).encode(
        x=alt.X("cycle:O", title="cycle", axis=alt.Axis(labelAngle=0)),
        color=alt.Color("arm:N", title=None, scale=alt.Scale(domain=list(ARMS.values()), range=COLOURS)),
    )
    score = alt.Y("score:Q", title="sealed pass@1, levels 4-8", scale=alt.Scale(domain=[0, 0.6]))
    lines = base.mark_line(opacity=0.3, strokeWidth=1).encode(y=score, detail="seed:N")
    means = base.mark_line(strokeWidth=3, point=alt.OverlayMarkDef(size=50)).encode(y=alt.Y("mean(score):Q"))
    seeds = len({row["seed"] for row in found})
    title = f"The champion's score by cycle: mean of {seeds} seeds (thin: each seed)"
    chart = (lines + means).properties(width=560, height=300, title=title)
    chart = chart.configure_legend(orient="bottom", labelLimit=300).configure_view(stroke=None)
    (ROOT / "docs" / "curve.svg").write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")


def _split(name: str) -> tuple[str, int]:
    arm, _, seed = name.rpartition("-")
    return arm, int(seed)


if __name__ == "__main__":
    main()
