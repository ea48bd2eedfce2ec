"""What was measured of a model, by which protocol, on how much, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loopwright.report.facts.binding import alias, fact, table
from loopwright.report.facts.changes import scores_of
from loopwright.report.facts.cycles import flat
from loopwright.report.facts.estimates import ahead, rate, slope
from loopwright.report.facts.lineage import judges_of
from loopwright.report.facts.reading import Absent, Reader

__all__ = ["figures"]

_JUDGING = ("evaluate", "examine", "decide")


def figures(see: Reader) -> Mapping[str, Any]:
    """The figures of the cycle's collapse card, as the examine statement tells them."""
    return dict(see.phase("examine").summary.get("figures", {}))


def _suite(path: str, suite: str, part: str) -> None:
    def reading(see: Reader) -> Any:
        said = see.phase("evaluate").summary.get(suite)
        return said.get(part) if said else None

    fact(path, "measured")(reading)


_suite("eval.gate", "gate", "headline")
_suite("eval.gate_all", "gate", "all")
_suite("eval.sealed", "sealed", "headline")
_suite("eval.sealed_all", "sealed", "all")
_suite("eval.pass_at", "pass_at", "headline")


def figure(path: str, name: str) -> None:
    """Bind a figure of the card to a name."""
    fact(path, "measured")(lambda see: figures(see).get(name))


for _path, _name in {
    "eval.audit_precision": "gate_precision",
    "eval.amplification": "amplification",
    "eval.memorisation": "proxy_gold_gap",
    "eval.surprisal": "generated_surprisal",
    "risk.behaviours": "behaviours",
    "monitor.diversity": "vendi",
    "monitor.entropy": "entropy",
    "monitor.tails": "generated_tails",
    "monitor.rare_recall": "rare_recall",
    "monitor.real_fit": "real_cross_entropy",
    "monitor.synthetic_age": "synthetic_age",
    "monitor.self_preference": "self_preference",
    "monitor.sentinel": "sentinel",
}.items():
    figure(_path, _name)


def _stress(path: str, name: str) -> None:
    fact(path, "measured")(lambda see: see.phase("examine").summary.get("stress", {}).get(name))


_stress("eval.adversarial", "adversarial")
_stress("eval.perturbed", "perturbed")
_stress("eval.malformed", "malformed refused")


@fact("eval.stress", "measured")
def _its_stress(see: Reader) -> Any:
    return table("test result", sorted(see.phase("examine").summary.get("stress", {}).items()))


@fact("eval.levels", "measured")
def _levels(see: Reader) -> Any:
    said = see.told("evaluate")
    suites = {suite: (said.get(suite) or {}).get("levels", {}) for suite in ("gate", "sealed", "pass_at")}
    keys = sorted({level for found in suites.values() for level in found}, key=int)
    return table("level gate sealed pass_at", [[int(key), *(found.get(key) for found in suites.values())] for key in keys])


@fact("eval.slices", "measured")
def _slices(see: Reader) -> Any:
    """Every group of every slice that the domain names, and the levels, on the gate set."""
    see.phase("evaluate")
    said = see.json(see.artifact("evaluation"), "scores.json")["gate"]
    groups = {**said.get("slices", {}), "level": said["levels"]}
    rows = [[column, value, score] for column, found in sorted(groups.items()) for value, score in found.items()]
    return table("slice group score", rows)


@fact("eval.worst_slice", "measured")
def _worst_slice(see: Reader) -> Any:
    said = see.phase("examine").summary.get("slices", {})
    rows = [
        [column, *_end(told["best"]), *_end(told["worst"]), told["difference"], told["association"]]
        for column, told in sorted(said.items())
    ]
    return table("slice best best_rate worst worst_rate difference association", rows)


def _end(told: Mapping[str, Any]) -> tuple[str, Any]:
    """A group and its pass rate; the statement has the rate and n, and so the number passed."""
    return str(told["value"]), rate(round(told["rate"] * told["n"]), told["n"])


@fact("eval.metrics", "measured")
def _metrics(see: Reader) -> Any:
    said = see.told("evaluate")
    found = {
        f"{suite} {part}": said[suite][part]
        for suite in ("gate", "sealed", "pass_at")
        if said.get(suite)
        for part in ("headline", "all")
    }
    found |= {name: one for name, one in see.summary("examine").get("stress", {}).items() if one}
    found |= {name: one for name, one in see.summary("examine").get("figures", {}).items() if one}
    return table(
        "metric value low high n method",
        [[name, *(one.get(key) for key in ("value", "low", "high", "n", "method"))] for name, one in found.items()],
    )


@fact("eval.card", "measured")
def _card(see: Reader) -> Any:
    found = {row[0]: row for row in see.fact("gate.lamps")["rows"]}
    rows = [found.get(name, [name, one, None, None, "no rule"]) for name, one in figures(see).items()]
    return table("figure score warn_at stop_at state", rows)


@fact("eval.gain", "measured")
def _gain(see: Reader) -> Any:
    return see.phase("decide").summary.get("gain")


@fact("eval.retention", "measured")
def _retention(see: Reader) -> Any:
    return see.json(see.artifact("decision"), "decision.json").get("retention")


@fact("eval.history", "measured")
def _history(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        scores = scores_of(see, record)
        if scores:
            rows.append([record.cycle, scores.get("gate"), scores.get("sealed"), record.action])
    return table("cycle gate sealed decision", rows)


def _sealed(see: Reader) -> list[float]:
    return [row[2]["value"] for row in see.fact("eval.history")["rows"] if row[2]]


@fact("eval.trend", "fitted")
def _trend(see: Reader) -> Any:
    return slope(_sealed(see))


@fact("eval.forecast", "fitted")
def _forecast(see: Reader) -> Any:
    found = ahead(_sealed(see), 3)
    if not found:
        raise Absent("cycles")
    return table("ahead score", [[step, one] for step, one in enumerate(found, 1)])


@fact("eval.suites", "counted")
def _suites(see: Reader) -> Any:
    reads = {suite: _reads(see, suite) for suite in ("gate", "sealed")}
    rows = [[row[0], row[1], row[3], row[2], reads.get(row[0])] for row in see.fact("dataset.test_sets")["rows"]]
    return table("suite count digest use reads", rows)


@fact("eval.sealed_reads", "counted")
def _sealed_reads(see: Reader) -> int:
    return _reads(see, "sealed")


def _reads(see: Reader, suite: str) -> int:
    """Evaluations so far that a suite was used in; the gate's looks (`gate.looks`) are those that something hung on."""
    return sum(bool(see.summary("evaluate", record).get(suite)) for record in see.cycles())


@fact("eval.protocol")
def _protocol(see: Reader) -> Any:
    rows = []
    for phase in ("evaluate", "examine"):
        if phase in see.cycle.phases:
            said = see.config(phase)
            rows += [[phase, key, value] for key, value in flat(said["config"])] + [[phase, "seed", str(said["seed"])]]
    return table("phase setting value", rows)


@fact("eval.elicitation")
def _elicitation(see: Reader) -> Any:
    said = see.config("evaluate")["config"]
    keys = ("max_new_tokens", "pass_at")
    return table("setting value", [[key, value] for name in keys for key, value in flat(said.get(name), name)])


@fact("eval.judges")
def _judges(see: Reader) -> Any:
    """Verdicts by programs in the sandbox, by level; and judge models where the domain has any."""
    rows = [[row[0], "program", row[1], row[2]] for row in see.fact("run.sandbox")["rows"]]
    rows += [["verify", "model", digest, None] for digest in judges_of(see)]
    return table("phase judge level count", rows)


@fact("eval.schedule")
def _schedule(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        for phase in ("evaluate", "examine"):
            if phase in record.phases:
                done = see.phase(phase, record)
                rows.append([record.cycle, phase, done.started_at, done.seconds])
    return table("cycle phase started_at seconds", rows)


@fact("eval.reports")
def _reports(see: Reader) -> Any:
    rows = []
    for phase in _JUDGING:
        if phase in see.cycle.phases:
            done = see.phase(phase)
            rows += [[phase, done.index, see.signer(done.index), done.finished_at, item.digest] for item in done.artifacts]
            see.digests.update(item.digest for item in done.artifacts)
    return table("phase leaf signer finished_at digest", rows)


alias("sign.evaluation_keys", "eval.reports")


@fact("eval.reproductions")
def _reproductions(see: Reader) -> Any:
    rows = []
    for said in see.entries("reproduction"):
        told = said.predicate
        found = [one["verdict"] for one in told["outcomes"]]
        rows.append(
            [
                told["cycle"],
                told["reproduced_at"],
                len(found),
                found.count("identical"),
                found.count("within"),
                len(found) - found.count("identical") - found.count("within"),
                said.index,
            ]
        )
    return table("cycle time artifacts identical within different leaf", rows)


@fact("eval.rigour", "derived")
def _rigour(see: Reader) -> Any:
    """What stands on the record for each question that Appendix 3.1 of the Code asks of an evaluation; no judgement of it."""
    gate, made = see.maybe("eval.gate_all"), see.maybe("eval.reproductions")
    rows = [
        ["seed", str(see.config("evaluate")["seed"])],
        ["sample size", gate["n"] if gate else None],
        ["interval", gate["method"] if gate else None],
        ["contamination", see.maybe("filter.contaminated") if "verify" in see.cycle.phases else None],
        ["held-out index", see.maybe("dataset.contamination")["rows"][0][1]],
        ["environment", see.cycle.pins.get("lock")],
        ["sealed reads", see.maybe("eval.sealed_reads")],
        ["reproductions", len(made["rows"]) if made else 0],
        ["audit of the gate's verdicts", see.maybe("eval.audit_precision")],
    ]
    return table("question fact", rows)


@fact("eval.quality", "measured")
def _quality(see: Reader) -> Any:
    names = ("eval.gate", "eval.sealed", "eval.malformed", "monitor.diversity", "monitor.entropy")
    return table("metric score", [[name, see.maybe(name)] for name in names])


@fact("system.interpretation_aids", "derived")
def _interpretation_aids(see: Reader) -> Any:
    """What stands beside an answer of this model; whether this cycle measured it."""
    names = ("eval.levels", "eval.slices", "eval.pass_at", "eval.stress", "run.sandbox")
    return table("aid available", [[name, _measured(see.maybe(name))] for name in names])


def _measured(value: Any) -> bool:
    """A table without rows measured nothing."""
    return value is not None and ("rows" not in value or bool(value["rows"]))
