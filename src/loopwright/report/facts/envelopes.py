"""The envelope of pre-determined changes: what it allows, and each rule held against what a cycle had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loopwright.ledger.fold import CycleRecord
from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.consents import duties
from loopwright.report.facts.reading import Absent, Reader


def _digest(see: Reader, record: CycleRecord) -> str | None:
    """The envelope that was in force when a cycle opened."""
    told = see.opened(record).get("envelope")
    return None if told in {None, "none"} else str(told)


@fact("envelope.none")
def _none(see: Reader) -> bool:
    return _digest(see, see.cycle) is None


@fact("envelope.signed")
def _signed(see: Reader) -> bool:
    return not see.fact("envelope.none")


@fact("envelope.id")
def _identity(see: Reader) -> str:
    found = _digest(see, see.cycle)
    if found is None:
        raise Absent("envelope")
    see.digests.add(found)
    return found


@fact("envelope.version", "counted")
def _version(see: Reader) -> int:
    see.fact("envelope.id")
    return len(dict.fromkeys(found for record in see.cycles() if (found := _digest(see, record))))


def _request(see: Reader) -> Any:
    """The request that brought the envelope in, carried out."""
    wanted = see.fact("envelope.id")
    done = [one for one in see.requests() if one.action == "envelope" and one.executed is not None]
    found = next((one for one in done if any(item.digest == wanted for item in one.subjects)), None)
    if found is None:
        raise Absent("request")
    see.leaf(found.index, found.executed or 0)
    return found


@fact("envelope.signed_at")
def _signed_at(see: Reader) -> str:
    return str(see.source.statements[_request(see).executed].predicate["executed_at"])


@fact("envelope.approvers")
def _approvers(see: Reader) -> Any:
    found = _request(see)
    see.leaf(*(one.index for one in found.answers))
    rows = [[one.key, duties(see, one.key), one.said.get("answered_at"), one.index] for one in found.answers if one.approves]
    return table("key duties time leaf", rows)


@fact("envelope.before_first", "derived")
def _before_first(see: Reader) -> bool:
    first = see.record("c0001")
    return int(_request(see).executed) < first.index


def _force(see: Reader) -> Mapping[str, Any]:
    """The signed envelope as the decide phase's recorded configuration has it, with settings, sources and depth."""
    see.fact("envelope.id")
    found = see.config("decide")["config"].get("envelope")
    if not found:
        raise Absent("envelope")
    return found


def _allowed(bound: Mapping[str, Any]) -> str:
    """A bound in signs that need no language."""
    low, high = bound.get("low"), bound.get("high")
    if bound.get("values") is not None:
        return ", ".join(str(one) for one in bound["values"])
    if low is None or high is None:
        return f"\u2264 {high:g}" if low is None else f"\u2265 {low:g}"
    return f"[{low:g}, {high:g}]"


@fact("envelope.may_change")
def _may_change(see: Reader) -> Any:
    return table(
        "setting allowed", [[key, _allowed(one)] for key, one in sorted(_force(see)["envelope"]["may_change"].items())]
    )


@fact("envelope.must_stay")
def _must_stay(see: Reader) -> Any:
    return table("setting value", [[key, str(one)] for key, one in sorted(_force(see)["envelope"]["must_stay"].items())])


for _name in ("origins", "synthetic_share", "generation_depth"):
    fact(f"envelope.{_name}")(lambda see, key=_name: _force(see)["envelope"][key])  # type: ignore[misc]

for _path, _key in (("performance", "performance"), ("stops", "stop")):

    @fact(f"envelope.{_path}")
    def _bounds(see: Reader, key: str = _key) -> Any:
        return table("metric allowed", [[name, _allowed(one)] for name, one in sorted(_force(see)["envelope"][key].items())])


@fact("envelope.tests")
def _tests(see: Reader) -> Any:
    return table("figure least_n", sorted(_force(see)["envelope"]["tests"].items()))


def _verdict(see: Reader, record: CycleRecord) -> Mapping[str, Any] | None:
    """What the decision says of the envelope: inside, rules left, stops."""
    return see.summary("decide", record).get("envelope")


@fact("envelope.inside")
def _inside(see: Reader) -> bool:
    found = _verdict(see, see.cycle)
    if found is None:
        raise Absent("envelope")
    return bool(found["inside"])


@fact("envelope.left")
def _left(see: Reader) -> list[str]:
    found = _verdict(see, see.cycle)
    if found is None:
        raise Absent("envelope")
    return [*found["left"], *found["stops"]]


@fact("envelope.rules", "derived")
def _its_rules(see: Reader) -> Any:
    """Each rule with what the cycle had; whether it was left is the gate's own word in the decision, not a second opinion."""
    force, said = _force(see), see.fact("envelope.left")
    rows = [[rule, allowed, had, _outcome(rule, said)] for rule, allowed, had in _rules(see, force)]
    told = {rule for rule, *_ in rows}
    rows += [[one, None, None, "left"] for one in said if not any(_names(rule, one) for rule in told)]
    return table("rule allowed had outcome", rows)


def _rules(see: Reader, force: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    envelope = force["envelope"]
    settings = {
        **force["settings"],
        **{f"recipe.{row[0]}": row[1] for row in (see.maybe("cycle.recipe") or {"rows": []})["rows"]},
    }
    figures = see.summary("examine").get("figures", {})
    yield from ((f"may_change {key}", _allowed(one), settings.get(key)) for key, one in envelope["may_change"].items())
    yield from ((f"must_stay {key}", str(one), settings.get(key)) for key, one in envelope["must_stay"].items())
    yield "origins", ", ".join(envelope["origins"]), ", ".join(force["sources"]) or None
    yield "synthetic_share", f"\u2264 {envelope['synthetic_share']:g}", figures.get("synthetic_share")
    if envelope["generation_depth"] is not None:
        yield "generation_depth", f"\u2264 {envelope['generation_depth']}", force["generation"]
    for part in ("performance", "stop"):
        word = "performance" if part == "performance" else "stop rule"
        yield from ((f"{word} {key}", _allowed(one), _metric(see, key)) for key, one in envelope[part].items())
    for key, least in envelope["tests"].items():
        found = figures.get(key)
        yield f"tests {key}", f"n \u2265 {least}", found["n"] if found else None


def _metric(see: Reader, name: str) -> Any:
    if name == "gate":
        return see.maybe("eval.gate")
    if name.startswith("slice:"):
        column, _, value = name.removeprefix("slice:").partition("=")
        found = see.maybe("eval.slices")
        return next((row[2] for row in found["rows"] if row[0] == column and str(row[1]) == value), None) if found else None
    return see.summary("examine").get("figures", {}).get(name)


def _names(rule: str, said: str) -> bool:
    """Does the gate's sentence speak of this rule? It begins with the rule's name, which a colon or a blank ends."""
    text = said.removeprefix("envelope: ")
    return text.startswith(rule) and (len(text) == len(rule) or text[len(rule)] in ": ")


def _outcome(rule: str, said: list[str]) -> str:
    return "left" if any(_names(rule, one) for one in said) else "kept"


@fact("envelope.history")
def _history(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        found = _verdict(see, record)
        rows.append(
            [
                record.cycle,
                _digest(see, record),
                found["inside"] if found else None,
                len(found["left"]) if found else None,
                record.action,
            ]
        )
    return table("cycle envelope inside rules_left decision", rows)


@fact("envelope.evidence")
def _evidence(see: Reader) -> Any:
    """What each promotion stands on: the entries of evaluation, card and decision, and the policy's digest."""
    rows = []
    for record in see.cycles():
        if record.action == "promote" and "decide" in record.phases:
            done = see.phase("decide", record)
            rows.append(
                [
                    record.cycle,
                    done.index,
                    *(
                        next((item["digest"] for item in done.inputs if item["name"] == name), None)
                        for name in ("evaluation", "card")
                    ),
                ]
            )
    return table("cycle leaf evaluation card", rows)


_TOUCHES = {
    "Art. 9": ("gate.alarming",),
    "Art. 10": ("cycle.data_change", "dataset.synthetic_share"),
    "Art. 12": ("log.verified",),
    "Art. 13": ("eval.worst_slice",),
    "Art. 14": ("sign.promotions",),
    "Art. 15": ("cycle.score_change", "eval.stress"),
}


@fact("envelope.affected", "derived")
def _affected(see: Reader) -> Any:
    """Measured changes of the cycle that speak of each requirement of Section 2; whether it is affected, a person says."""
    rows = []
    for article, paths in _TOUCHES.items():
        for path in paths:
            value = see.maybe(path)
            told = len(value["rows"]) if isinstance(value, dict) and "rows" in value else value
            rows.append([article, path, told])
    return table("requirement fact value", rows)
