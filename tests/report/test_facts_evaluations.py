"""Facts of what was measured of a model, against the statements, the decision's files and the tables of answers."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from tests.report.queries import Case, Nothing, Query, Seen, grid, leaves, still, wilson, wrong
from tests.report.test_facts_models import action

T_95 = {1: 12.706204736432095}
"""0.975 quantile of Student's t by degrees of freedom, from the tables."""


def levels(see: Seen) -> Any:
    said = see.summary("evaluate")
    suites = [(said[name] or {"levels": {}})["levels"] for name in ("gate", "sealed", "pass_at")]
    every = sorted({int(level) for suite in suites for level in suite})
    return grid("level gate sealed pass_at", [(level, *(suite.get(str(level)) for suite in suites)) for level in every])


def slices(see: Seen) -> Any:
    see.said("evaluate")
    said = see.json("evaluation/scores.json")["gate"]
    rows = [("level", *one) for one in said["levels"].items()]
    rows += [(name, *one) for name, groups in said["slices"].items() for one in groups.items()]
    return grid("slice group score", sorted(rows, key=lambda row: row[0]))


def extremes(see: Seen) -> Any:
    """Best and worst group of each slice; the statement tells rates and numbers, and Wilson's interval follows from these."""
    rows = []
    for name, said in sorted(see.summary("examine", "slices").items()):
        ends = [
            (said[end]["value"], wilson(round(said[end]["rate"] * said[end]["n"]), said[end]["n"])) for end in ("best", "worst")
        ]
        rows.append((name, *ends[0], *ends[1], said["difference"], said["association"]))
    return grid("slice best best_rate worst worst_rate difference association", rows)


def scores(see: Seen) -> dict[str, Any]:
    """Every score that evaluate and examine tell of, by name."""
    said, more = see.summary("evaluate"), see.maybe("examine", default={})
    found = {
        f"{suite} {part}": said[suite][part]
        for suite in ("gate", "sealed", "pass_at")
        if said[suite]
        for part in ("headline", "all")
    }
    return {**found, **{name: one for part in ("stress", "figures") for name, one in more.get(part, {}).items() if one}}


def metrics(see: Seen) -> Any:
    keys = ("value", "low", "high", "n", "method")
    return grid("metric value low high n method", [(name, *(one[key] for key in keys)) for name, one in scores(see).items()])


def card(see: Seen) -> Any:
    """Each figure with its limits and its lamp; what has no lamp has no rule."""
    lamps, limits = see.maybe("decide", "lights", default={}), see.config("decide")["config"]["card"]
    rows = []
    for name, score in see.summary("examine", "figures").items():
        ends = (limits[name]["warn"], limits[name]["stop"], lamps[name]) if name in lamps else (None, None, "no rule")
        rows.append((name, score, *ends))
    return grid("figure score warn_at stop_at state", rows)


def sealed(see: Seen) -> list[float]:
    found = [see.maybe("evaluate", "sealed", "headline", "value", cycle=cycle) for cycle in see.cycles]
    return [one for one in found if one is not None]


def line(values: list[float]) -> tuple[float, float, float, float]:
    """Middle, slope, standard error and spread of a line by least squares over the steps 0, 1, 2, with one degree of freedom."""
    if len(values) != 3:
        raise Nothing("too few")
    slope, middle = (values[2] - values[0]) / 2, sum(values) / 3
    error = math.sqrt(sum((value - middle - slope * (step - 1)) ** 2 for step, value in enumerate(values)))
    return middle, slope, error, 2


def trend(see: Seen) -> Any:
    _, slope, error, spread = line(sealed(see))
    half = T_95[1] * error / math.sqrt(spread)
    return {"value": slope, "low": slope - half, "high": slope + half, "n": 3, "method": "least squares, t 95%"}


def forecast(see: Seen) -> Any:
    middle, slope, error, spread = line(sealed(see))
    rows = []
    for ahead in (1, 2, 3):
        value, half = middle + slope * (1 + ahead), T_95[1] * error * math.sqrt(1 + 1 / 3 + (1 + ahead) ** 2 / spread)
        told = {"value": value, "low": value - half, "high": value + half, "n": 3, "method": "least squares, prediction 95%"}
        rows.append((ahead, told))
    return grid("ahead score", rows)


def reads(see: Seen, suite: str = "sealed") -> int:
    """Evaluations with a score on it."""
    return len([cycle for cycle in see.cycles if see.maybe("evaluate", suite, "headline", cycle=cycle)])


def suites(see: Seen) -> Any:
    said, digest = see.summary("seed", cycle="c0000"), see.made("suites", "c0000")
    rows = [
        ("gate", said["gate_tasks"], digest, "decides promotions", reads(see, "gate")),
        ("sealed", said["sealed_tasks"], digest, "steers nothing", reads(see)),
        ("human", said["frozen_rows"], digest, "measures the fit to human data", None),
        ("panel", said["panel_prompts"], digest, "measures diversity", None),
    ]
    return grid("suite count digest use reads", rows)


def protocol(see: Seen) -> Any:
    rows: list[Any] = []
    for phase in ("evaluate", "examine"):
        if phase in see.done():
            said = see.config(phase)
            rows += [(phase, *one) for one in leaves(said["config"])] + [(phase, "seed", str(said["seed"]))]
    return grid("phase setting value", rows)


def elicitation(see: Seen) -> Any:
    said = see.config("evaluate")["config"]
    return grid("setting value", [("max_new_tokens", said["max_new_tokens"]), *leaves(said["pass_at"], "pass_at")])


def judges(see: Seen) -> Any:
    rows: list[Any] = [
        (phase, "program", level, count)
        for phase, done in see.by_phase()
        for level, count in done.said["summary"].get("isolation", {}).items()
    ]
    judge = see.maybe("verify", "judge")
    rows += [
        ("verify", "model", one, None)
        for one in ([judge["digest"]] if judge else see.maybe("verify", "judge_models", default=[]))
    ]
    return grid("phase judge level count", rows)


def schedule(see: Seen) -> Any:
    rows = [
        (cycle, phase, done.said["started_at"], done.said["seconds"])
        for cycle in see.cycles
        for phase, done in see.by_phase(cycle)
        if phase in {"evaluate", "examine"}
    ]
    return grid("cycle phase started_at seconds", rows)


def reports(see: Seen) -> Any:
    rows = [
        (phase, done.leaf, done.signer, done.said["finished_at"], out["digest"])
        for phase, done in see.by_phase()
        if phase in {"evaluate", "examine", "decide"}
        for out in done.said["outputs"]
    ]
    return grid("phase leaf signer finished_at digest", rows)


def reproductions(see: Seen) -> Any:
    rows = []
    for leaf, _, said in see.told("reproduction"):
        words = [one["verdict"] for one in said["outcomes"]]
        other = [word for word in words if word not in {"identical", "within"}]
        rows.append(
            (
                said["cycle"],
                said["reproduced_at"],
                len(words),
                words.count("identical"),
                words.count("within"),
                len(other),
                leaf,
            )
        )
    return grid("cycle time artifacts identical within different leaf", rows)


def rigour(see: Seen) -> Any:
    gate, refused = see.summary("evaluate", "gate", "all"), see.maybe("verify", "refused")
    rows = [
        ("seed", str(see.config("evaluate")["seed"])),
        ("sample size", gate["n"]),
        ("interval", gate["method"]),
        ("contamination", None if refused is None else refused.get("held out", 0) + refused.get("contaminated", 0)),
        ("held-out index", see.made("heldout", "c0000")),
        ("environment", see.opened()["lock"]),
        ("sealed reads", reads(see)),
        ("reproductions", len(see.told("reproduction"))),
        ("audit of the gate's verdicts", see.maybe("examine", "figures", "gate_precision")),
    ]
    return grid("question fact", rows)


def quality(see: Seen) -> Any:
    rows = [
        ("eval.gate", see.maybe("evaluate", "gate", "headline")),
        ("eval.sealed", see.maybe("evaluate", "sealed", "headline")),
        ("eval.malformed", see.maybe("examine", "stress", "malformed refused")),
        ("monitor.diversity", see.maybe("examine", "figures", "vendi")),
        ("monitor.entropy", see.maybe("examine", "figures", "entropy")),
    ]
    return grid("metric score", rows)


def seed(see: Seen) -> str:
    """Workspace, cycle, its seed, and how many entries the checkpoint covers."""
    return f"{see.entries[0]['predicate']['workspace']}/{see.cycle}/{see.opened()['seed']}/{len(see.entries)}"


def drawn(see: Seen, what: str, ids: list[str]) -> list[str]:
    """The five with the smallest hash of seed and id."""
    keys = {
        one: hashlib.sha256(json.dumps([seed(see), what, one], separators=(",", ":"), ensure_ascii=False).encode()).digest()
        for one in ids
    }
    return sorted(ids, key=keys.__getitem__)[:5]


def shown(text: str | None) -> str | None:
    return text if text is None or len(text) <= 400 else text[:400] + "…"


def samples(see: Seen) -> Any:
    see.said("evaluate")
    told = {row["task"]: row for row in see.parquet("evaluation/gate.parquet").iter_rows(named=True)}
    prompts = dict(see.parquet("suites/gate.parquet", "c0000").select("id", "prompt").iter_rows())
    rows = [
        (one, told[one]["level"], shown(prompts[one]), shown(told[one]["answer"]), told[one]["status"])
        for one in drawn(see, "gate", list(told))
    ]
    return grid("task level prompt answer verdict", rows)


def sealed_samples(see: Seen) -> Any:
    see.said("evaluate")
    told = {row["task"]: row for row in see.parquet("evaluation/sealed.parquet").iter_rows(named=True)}
    rows = [
        (one, told[one]["level"], shown(told[one]["answer"]), told[one]["status"]) for one in drawn(see, "sealed", list(told))
    ]
    return grid("task level answer verdict", rows)


def generated(see: Seen) -> Any:
    """Of what models wrote in the cycle, kept or not."""
    kept = [
        {**row, "reason": "accepted"}
        for row in see.parquet("accepted/rows.parquet").iter_rows(named=True)
        if row["origin"] != "human"
    ]
    told = {row["id"]: row for row in (*kept, *see.parquet("accepted/refused.parquet").iter_rows(named=True))}
    rows = [told[one] for one in drawn(see, "generated", list(told))]
    return grid(
        "task level prompt answer verdict",
        [(row["id"], row["level"], shown(row["prompt"]), shown(row["answer"]), row["reason"]) for row in rows],
    )


ASKED: dict[str, Query] = {
    "eval.protocol": protocol,
    "eval.suites": suites,
    "eval.levels": levels,
    "eval.slices": slices,
    "eval.worst_slice": extremes,
    "eval.pass_at": lambda see: see.summary("evaluate", "pass_at", "headline"),
    "eval.stress": lambda see: grid("test result", sorted(see.summary("examine", "stress").items())),
    "eval.metrics": metrics,
    "eval.card": card,
    "eval.retention": lambda see: see.json("decision.json")["retention"],
    "eval.history": lambda see: grid(
        "cycle gate sealed decision",
        [
            (
                cycle,
                *(see.summary("evaluate", suite, "headline", cycle=cycle) for suite in ("gate", "sealed")),
                action(see, cycle),
            )
            for cycle in see.cycles
            if "evaluate" in see.done(cycle)
        ],
    ),
    "eval.trend": trend,
    "eval.forecast": forecast,
    "eval.samples": samples,
    "eval.sealed_samples": sealed_samples,
    "eval.generation_samples": generated,
    "eval.sample_seed": seed,
    "eval.sealed_reads": reads,
    "eval.elicitation": elicitation,
    "eval.judges": judges,
    "eval.schedule": schedule,
    "eval.reports": reports,
    "eval.reproductions": reproductions,
    "eval.rigour": rigour,
    "eval.quality": quality,
    **{f"eval.{name}": lambda see, name=name: see.summary("examine", "stress", name) for name in ("adversarial", "perturbed")},
    "eval.malformed": lambda see: see.summary("examine", "stress", "malformed refused"),
    "eval.audit_precision": lambda see: see.summary("examine", "figures", "gate_precision"),
    "eval.memorisation": lambda see: see.summary("examine", "figures", "proxy_gold_gap"),
}


def test_facts_of_evaluations_are_what_statements_and_tables_say(panel: list[Case]) -> None:
    assert wrong(ASKED, panel) == {}


def test_another_record_measured_otherwise(panel: list[Case]) -> None:
    assert still(ASKED, panel) == []
