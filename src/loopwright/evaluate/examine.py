"""The phase ``examine``: is the loop collapsing, drifting, or hacking its verifier? One card of figures a cycle.

Every model answers the same frozen panel and is scored on the same frozen human rows, so a figure differs from the first
model's because the models differ. What the first model measured is carried from card to card. Here is measured; what is
alarming, the policy says (`loopwright.policy.Card`) and the gate applies.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loopwright.errors import InfraError, IntegrityError
from loopwright.evaluate import figures as figure
from loopwright.evaluate.audit import audit, behaviours, drawn
from loopwright.evaluate.panel import Question, ask, surprisals
from loopwright.evaluate.pressing import answerable, pressed, stress_suite
from loopwright.evaluate.scores import RESULTS
from loopwright.evaluate.slices import amplification, by_column, slice_columns
from loopwright.intervals import wilson
from loopwright.plugins import PhaseContext
from loopwright.sections import ExamineSection
from loopwright.store.archive import shards
from loopwright.store.tables import read_table, read_tasks, write_table
from loopwright.types import Score, Task, canonical, cycle_number, seed_of

__all__ = ["FIGURES", "examine"]

FIGURES = [
    "real_cross_entropy",
    "generated_tails",
    "rare_recall",
    "behaviours",
    "vendi",
    "entropy",
    "human_share",
    "proxy_gold_gap",
    "label_precision",
    "gate_precision",
    "false_accept",
    "sentinel",
    "amplification",
    "self_preference",
    "generated_surprisal",
    "distinct_n",
    "synthetic_share",
    "synthetic_age",
]
"""All that a card may hold, in the order in which they are shown; None where a cycle cannot measure one."""

_GRAM = 8
"""Pieces of a type whose rarity counts."""
_RESULT = {"task": "string", "passed": "bool"}


@dataclass(slots=True, kw_only=True)
class _Card:
    """The card as it grows; ``first`` is what the first model measured, from the card before."""

    first: dict[str, Any]
    figures: dict[str, Score | None] = field(default_factory=lambda: dict.fromkeys(FIGURES))
    stress: dict[str, Any] = field(default_factory=dict)
    slices: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    """Where the archive's rows come from."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """By which the model was trained; empty where there is none."""
    wrong: list[str] = field(default_factory=list)
    """Ids of accepted rows that the audit found wrong."""
    isolation: Counter[str] = field(default_factory=Counter)
    tokens: int = 0

    def relative(self, name: str, score: Score) -> None:
        """A figure ÷ the first model's; of the first model itself it's only kept."""
        if name in self.first:
            self.figures[name] = figure.relative(score, self.first[name])
        else:
            self.first[name] = score.value


def examine(config: ExamineSection, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
    """Write ``card/card.json`` and ``card/first.parquet`` (the first model's gate results, carried on); return the summary.

    ``inputs``: ``archive`` and ``suites``; ``card`` (of the cycle before) and ``accepted`` except for the first model;
    ``model``, ``evaluation`` and, except for the first model, ``first`` where there is a challenger.

    Raises:
        InfraError: an answer could not be judged.
        IntegrityError: the card before is damaged.
    """
    card = _Card(first=_before(inputs))
    _data(card, config, inputs, context)
    if "model" in inputs:
        _answers(card, config, inputs, context)
        _gate(card, config, inputs, context)
    output = context.output / "card"
    output.mkdir(parents=True)
    _carry_on(inputs, output)
    figures = {name: asdict(score) if score else None for name, score in card.figures.items()}
    shown = {"figures": figures, "stress": card.stress, "slices": card.slices, "wrong_rows": card.wrong}
    told = {**shown, "data": card.data, "recipe": card.recipe, "first": card.first}
    (output / "card.json").write_bytes(canonical({"schema": 1, "cycle": context.cycle, **told}))
    return {**shown, "tokens": card.tokens, "isolation": dict(card.isolation)}


def _before(inputs: Mapping[str, Path]) -> dict[str, Any]:
    if "card" not in inputs:
        return {}
    try:
        return dict(json.loads((inputs["card"] / "card.json").read_bytes())["first"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"the card before cannot be read: {error!r}", "`loopwright verify` says what changed") from error


def _data(card: _Card, config: ExamineSection, inputs: Mapping[str, Path], context: PhaseContext) -> None:
    """What the archive is made of, and what the verifier said of itself."""
    chain = shards(context.root, inputs["archive"].relative_to(context.root).as_posix())
    here = cycle_number(context.cycle)
    rows = sum(shard.rows for shard in chain)
    made = [(shard.rows - shard.human, here - cycle_number(Path(shard.path).parent.name)) for shard in chain]
    synthetic = sum(count for count, _ in made)
    card.data["origins"] = [name for name, count in (("human", rows - synthetic), ("model", synthetic)) if count]
    card.figures["synthetic_share"] = _counted(synthetic / rows, rows) if rows else None
    if synthetic:
        card.figures["synthetic_age"] = _counted(sum(count * age for count, age in made) / synthetic, synthetic)
    if "accepted" in inputs:
        _labels(card, inputs["accepted"], config, context)


def _labels(card: _Card, accepted: Path, config: ExamineSection, context: PhaseContext) -> None:
    """What the verifier found out about itself, and an audit of the rows it let in that does not go by its word."""
    probe = json.loads((accepted / "probe.json").read_bytes())
    gold, judges = probe["gold"], probe.get("self_preference")
    card.figures["false_accept"] = Score(**gold["false_accept_rate"]) if gold and gold["false_accept_rate"] else None
    card.figures["self_preference"] = Score(**judges) if judges else None
    rows = read_table(accepted / "rows.parquet", {"id": "string", "prompt": "string", "answer": "string"})
    chosen = drawn(rows, config.audit, context.seed)
    found = audit([(context.domain.task(row["prompt"]), row["answer"]) for row in chosen], context.seed, context)
    card.figures["label_precision"] = wilson(found)
    card.wrong = sorted(row["id"] for row, right in zip(chosen, found, strict=False) if not right)


def _counted(value: float, n: int) -> Score:
    return Score(value=value, low=value, high=value, n=n, method="counted")


def _answers(card: _Card, config: ExamineSection, inputs: Mapping[str, Path], context: PhaseContext) -> None:
    """Ask the challenger the panel and the stress suite, and the first model its share of the gate suite again."""
    model, first = inputs["model"], inputs.get("first", inputs["model"])
    panel = [row["prompt"] for row in read_table(inputs["suites"] / "panel.parquet", {"prompt": "string"})][: config.draws]
    suite = stress_suite(context)
    hard = answerable(suite)
    watch = _watched(config, inputs, context) if "first" in inputs else []
    greedy: dict[str, Any] = {"temperature": 0.0, "tokens": config.sentinel_tokens, "shard": config.sentinel_shard}
    given, hardly, again = ask(
        [
            Question(
                model=model,
                prompts=panel,
                seeds=[seed_of(context.seed, "panel", prompt) for prompt in panel],
                temperature=config.temperature,
                tokens=config.max_new_tokens,
                shard=config.shard_rows,
            ),
            Question(model=model, prompts=[task.prompt for task in hard], seeds=[0] * len(hard), **greedy),
            Question(model=first, prompts=[task.prompt for task in watch], seeds=[0] * len(watch), **greedy),
        ],
        context,
    )
    card.tokens += sum(tokens for group in (given, hardly, again) for _, tokens in group)
    _spread(card, config, inputs, [(prompt, text) for prompt, (text, _) in zip(panel, given, strict=True)], context)
    card.stress, levels = pressed(suite, [text for text, _ in hardly], context)
    card.isolation.update(levels)
    if watch:
        _sentinel(card, inputs, watch, [text for text, _ in again], context)


def _spread(
    card: _Card, config: ExamineSection, inputs: Mapping[str, Path], pairs: Sequence[tuple[str, str]], context: PhaseContext
) -> None:
    """How likely human rows are to the model, its samples to the first one and to itself, and how different they are."""
    model, first = inputs["model"], inputs.get("first", inputs["model"])
    human = read_table(inputs["suites"] / "human.parquet", {"prompt": "string", "answer": "string"})[: config.draws]
    real = [(row["prompt"], row["answer"]) for row in human]
    on_real, under_first, own = surprisals([(model, real), (first, pairs), (model, pairs)], config.shard_rows, context)
    if real:
        nats = [value for value, _ in on_real]
        known = card.first.setdefault("real_nats", nats)
        card.figures["real_cross_entropy"] = figure.paired_ratio(nats, known) if "first" in inputs else None
    if not pairs:
        return
    each = [nats / tokens for nats, tokens in under_first]
    low, high = card.first.setdefault("tails", _tails(each))
    card.figures["generated_tails"] = figure.thinner_tail(each, low, high)
    card.figures["generated_surprisal"] = figure.mean_per_token(*_columns(under_first))
    card.relative("entropy", figure.mean_per_token(*_columns(own)))
    texts = [text for _, text in pairs]
    recalled = figure.recalled(figure.rare([answer for _, answer in real], _GRAM), texts, _GRAM)
    if recalled:
        card.relative("rare_recall", recalled)
    if len(texts) >= 8:
        card.relative("behaviours", figure.quartered(behaviours(texts, context), figure.distinct))
        card.relative("vendi", figure.quartered(texts, figure.vendi))
        card.figures["distinct_n"] = figure.quartered(texts, figure.distinct_n)


def _tails(values: Sequence[float]) -> list[float]:
    import numpy as np

    return [float(value) for value in np.quantile(values, (0.05, 0.95))]


def _columns(rows: Sequence[tuple[float, int]]) -> tuple[list[float], list[int]]:
    return [nats for nats, _ in rows], [tokens for _, tokens in rows]


def _watched(config: ExamineSection, inputs: Mapping[str, Path], context: PhaseContext) -> Sequence[Task]:
    """One work item of the gate suite, another each cycle: exactly a list that the first model was asked before."""
    gate = read_tasks(inputs["suites"] / "gate.parquet")
    pieces = range(0, len(gate), config.sentinel_shard)
    start = pieces[cycle_number(context.cycle) % len(pieces)]
    return gate[start : start + config.sentinel_shard]


def _sentinel(
    card: _Card, inputs: Mapping[str, Path], tasks: Sequence[Task], texts: Sequence[str], context: PhaseContext
) -> None:
    """The frozen first model, judged again: where a verdict differs, not the model has changed but who judges it."""
    known = {row["task"]: row["passed"] for row in read_table(inputs["card"] / "first.parquet", _RESULT)}
    verdicts = context.domain.judge(list(zip(tasks, texts, strict=True)), ("gate",), context.sandbox)
    card.isolation.update(verdict.level for verdict in verdicts)
    if any(verdict.status == "INFRA" for verdict in verdicts):
        raise InfraError("the first model's answers could not be judged again", "`loopwright doctor`, then `loopwright run`")
    card.figures["sentinel"] = wilson([verdict.passed != known[task.id] for task, verdict in zip(tasks, verdicts, strict=True)])


def _gate(card: _Card, config: ExamineSection, inputs: Mapping[str, Path], context: PhaseContext) -> None:
    """What the gate's results say about slices, and about the verifier that let the rows in."""
    rows = read_table(inputs["evaluation"] / "gate.parquet", RESULTS)
    passed, columns = [row["passed"] for row in rows], slice_columns([row["slices"] for row in rows])
    card.slices = by_column({"level": [str(row["level"]) for row in rows], **columns}, passed)
    if "card" in inputs:
        known = {row["task"]: row["passed"] for row in read_table(inputs["card"] / "first.parquet", _RESULT)}
        card.figures["amplification"] = amplification(columns, passed, [known[row["task"]] for row in rows])
    tasks = {task.id: task for task in read_tasks(inputs["suites"] / "gate.parquet")}
    solved = [(tasks[row["task"]], row["answer"]) for row in rows if row["passed"]]
    card.figures["gate_precision"] = wilson(audit(drawn(solved, config.audit, context.seed), context.seed, context))
    training = json.loads((inputs["model"] / "training.json").read_bytes())
    card.recipe = training["recipe"]
    card.figures["human_share"] = _counted(training["recipe"]["human_share"], sum(training["rows"].values()))
    if "accepted" in inputs and not _by_others(inputs["accepted"]):
        card.figures["proxy_gold_gap"] = figure.gap(_proxy(inputs["accepted"]), _gold(rows))


def _by_others(accepted: Path) -> bool:
    """Whether a model elsewhere wrote the rows: what passes of them and what the champion solves is no gap, but two models."""
    return bool(json.loads((accepted / "probe.json").read_bytes()).get("external"))


def _proxy(accepted: Path) -> dict[int, tuple[int, int, int]]:
    levels = json.loads((accepted / "curriculum.json").read_bytes())["levels"]
    return {int(level): (said["tasks"], said["samples"], said["passed"]) for level, said in levels.items()}


def _gold(rows: Sequence[Mapping[str, Any]]) -> dict[int, list[bool]]:
    """By level, the champion's results: it wrote the rows."""
    found: dict[int, list[bool]] = {}
    for row in rows:
        found.setdefault(row["level"], []).append(bool(row["champion"]))
    return found


def _carry_on(inputs: Mapping[str, Path], output: Path) -> None:
    place = inputs["card"] / "first.parquet" if "card" in inputs else inputs["evaluation"] / "gate.parquet"
    write_table(output / "first.parquet", _RESULT, read_table(place, _RESULT))
