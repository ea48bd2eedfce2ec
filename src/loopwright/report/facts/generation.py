"""Synthetic data: what was asked, made, kept and thrown away, and how it was drawn."""

from __future__ import annotations

from typing import Any

from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.cycles import flat
from loopwright.report.facts.estimates import rate
from loopwright.report.facts.lineage import shards, written_by
from loopwright.report.facts.reading import Reader


@fact("gen.tasks", "counted")
def _tasks(see: Reader) -> int:
    return int(see.told("generate")["tasks"])


@fact("gen.samples", "counted")
def _samples(see: Reader) -> int:
    return int(see.told("generate")["rows"])


@fact("gen.tokens", "counted")
def _tokens(see: Reader) -> int:
    return int(see.told("generate")["tokens"])


@fact("gen.kept", "counted")
def _kept(see: Reader) -> int:
    return int(see.told("verify")["accepted"])


@fact("gen.discarded", "counted")
def _discarded(see: Reader) -> int:
    return int(see.fact("gen.samples")) - int(see.fact("gen.kept"))


@fact("gen.discarded_reasons", "counted")
def _discarded_reasons(see: Reader) -> dict[str, int]:
    return dict(see.told("verify")["refused"])


@fact("gen.keep_rate", "counted")
def _keep_rate(see: Reader) -> Any:
    return rate(see.fact("gen.kept"), see.fact("gen.samples"))


@fact("gen.total_tokens", "counted")
def _total_tokens(see: Reader) -> int:
    return sum(one.tokens for one in shards(see, see.cycle))


@fact("gen.total_samples", "counted")
def _total_samples(see: Reader) -> int:
    return sum(one.samples for one in shards(see, see.cycle))


@fact("gen.by_cycle", "counted")
def _by_cycle(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        asked = see.summary("generate", record)
        if asked:
            accepted = see.summary("verify", record).get("accepted")
            share = rate(accepted, asked["rows"]) if accepted is not None else None
            model = written_by(see.phase("generate", record)) or ""
            called = see.source.models.get(model) or asked.get("external", {}).get("model", model)
            rows.append([record.cycle, called, asked["tasks"], asked["rows"], accepted, share, asked["tokens"]])
    return table("cycle generator tasks samples kept keep_rate tokens", rows)


@fact("gen.configuration")
def _configuration(see: Reader) -> Any:
    return table("setting value", list(flat(see.config("generate")["config"])))


@fact("gen.prompts", "counted")
def _prompts(see: Reader) -> Any:
    """By level, and one digest over the table of all tasks: prompts appear in no document."""
    made = see.artifact("proposals")
    frame = see.table(made, "tasks.parquet")
    digest = next(f"sha256:{one.sha256}" for one in see.files(made) if one.path == "tasks.parquet")
    counted = sorted(frame.group_by("level").n_unique().select("level", "prompt").rows())
    return table("level count digest", [[level, count, digest] for level, count in counted])


@fact("gen.similarity", "counted")
def _similarity(see: Reader) -> Any:
    """Rows refused as copies of what is there, and how far generated rows are from what the model knows."""
    refused = see.summary("verify").get("refused", {})
    rows: list[list[Any]] = [
        [reason, count] for reason, count in refused.items() if "duplicate" in reason or reason == "contaminated"
    ]
    figure = see.summary("examine").get("figures", {}).get("generated_surprisal")
    return table("check value", [*rows, *([["generated_surprisal", figure]] if figure else [])])
