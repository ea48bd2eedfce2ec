"""The gate of one cycle, rule by rule: what was measured, what was asked, what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.sheet import Column, Mark, Table
from app.words import Words
from loopwright.ledger.fold import CycleRecord
from loopwright.types import digest_bytes

__all__ = ["configuration", "gate_table"]


def configuration(root: Path, cycle: str, phase: str, digest: str | None) -> Mapping[str, Any] | None:
    """The configuration that a phase ran with, from its file; None where that is not here or not what was recorded."""
    try:
        data = (root / "cycles" / cycle / "config" / f"{phase}.json").read_bytes()
    except OSError:
        return None
    return json.loads(data)["config"] if digest_bytes(data) == digest else None


def gate_table(words: Words, record: CycleRecord, policy: Mapping[str, Any] | None) -> Table:
    """Rules of the promotion first, then the lights. ``policy``: the decide phase's configuration, None where it is not to be had."""
    said = record.phases["decide"].summary if "decide" in record.phases else {}
    card = record.phases["examine"].summary.get("figures", {}) if "examine" in record.phases else {}
    rows = [*_rules(words, record, said, policy or {}), *_lights(words, said, card, (policy or {}).get("card", {}))]
    marks: Mapping[str, Mark] = {
        words("verdict.passed"): "good", words("verdict.failed"): "bad", words("verdict.held"): "wait", words("verdict.unknown"): "none",
        words("light.fine"): "good", words("light.warn"): "warn", words("light.stop"): "bad",
    }  # fmt: skip
    columns = (
        Column(key="rule", label=words("gate.rule"), width=240), Column(key="value", label=words("gate.value"), kind="number", digits=4),
        Column(key="interval", label=words("gate.interval")), Column(key="asked", label=words("gate.asked")),
        Column(key="verdict", label=words("gate.verdict"), marks=marks, width=120), Column(key="method", label=words("gate.method"), width="medium"),
    )  # fmt: skip
    return Table(
        name="gate",
        title=words("gate.title"),
        columns=columns,
        rows=rows,
        note=words("gate.note" if policy is not None else "gate.no_policy"),
    )


def _rules(
    words: Words, record: CycleRecord, said: Mapping[str, Any], policy: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    gain, retention = said.get("gain"), said.get("retention")
    if said.get("p_value") is not None:
        yield _row(
            words, "significance", said["p_value"], None, f"< {words.number(said['alpha'], 4)}", said["p_value"] < said["alpha"],
            words("gate.look", look=said["look"], test=said.get("test", "")),
        )  # fmt: skip
    if gain:
        asked = policy.get("min_gain")
        yield _row(
            words,
            "min_gain",
            gain["value"],
            gain,
            _limit(words, "≥", asked),
            None if asked is None else gain["value"] >= asked,
            gain["method"],
        )
    if retention:
        drop = policy.get("max_drop")
        passed = None if drop is None else -retention["value"] <= drop
        yield _row(
            words,
            "retention",
            retention["value"],
            retention,
            _limit(words, "≥", None if drop is None else -drop),
            passed,
            retention["method"],
        )
    rate = record.phases["evaluate"].summary["gate"].get("all") if "evaluate" in record.phases else None
    if rate and gain and said.get("peak") is not None:
        drop = policy.get("max_drop")
        least = None if drop is None else said["peak"] - drop
        yield _row(
            words,
            "peak",
            rate["value"],
            rate,
            _limit(words, "≥", least),
            None if least is None else rate["value"] >= least,
            rate["method"],
        )
    if gain and policy.get("max_jump") is not None:
        row = _row(
            words,
            "jump",
            gain["value"],
            gain,
            _limit(words, "≤", policy["max_jump"]),
            gain["value"] <= policy["max_jump"],
            gain["method"],
        )
        yield row if gain["value"] <= policy["max_jump"] else {**row, "verdict": words("verdict.held")}


def _limit(words: Words, sign: str, value: float | None) -> str | None:
    return None if value is None else f"{sign} {words.number(value)}"


def _row(
    words: Words, rule: str, value: float, score: Mapping[str, Any] | None, asked: str | None, passed: bool | None, method: str
) -> Mapping[str, Any]:
    verdict = "unknown" if passed is None else "passed" if passed else "failed"
    return {
        "rule": words(f"gate.{rule}"), "value": value, "interval": words.interval(score) if score else None, "asked": asked,
        "verdict": words(f"verdict.{verdict}"), "method": method,
    }  # fmt: skip


def _lights(
    words: Words, said: Mapping[str, Any], card: Mapping[str, Any], rules: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    named = words.of("overview")
    for name, state in said.get("lights", {}).items():
        score, rule = card.get(name), rules.get(name) or {}
        sign = ">" if rule.get("bad") == "above" else "<"
        limits = [
            f"{words.named('light', kind)} {sign} {words.size(rule[kind])}"
            for kind in ("warn", "stop")
            if rule.get(kind) is not None
        ]
        yield {
            "rule": named.named("card", name), "value": score["value"] if score else None, "interval": words.interval(score) if score else None,
            "asked": "; ".join(limits) or None, "verdict": words.named("light", state), "method": score["method"] if score else None,
        }  # fmt: skip
