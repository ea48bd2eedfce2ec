"""Curation: what was refused and why, by which rules, and how well the verifier itself did on answers of known truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loopwright.report.facts.binding import fact, table
from loopwright.report.facts.cycles import flat
from loopwright.report.facts.datasets import held_out
from loopwright.report.facts.reading import Absent, Reader
from loopwright.types import PHASES


def _refused(see: Reader) -> dict[str, int]:
    return dict(see.told("verify" if "verify" in see.cycle.phases else "seed")["refused"])


@fact("filter.refused", "counted")
def _its_refused(see: Reader) -> dict[str, int]:
    return _refused(see)


@fact("filter.by_cycle", "counted")
def _by_cycle(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        said = see.summary("verify" if "verify" in record.phases else "seed", record).get("refused", {})
        rows += [[record.cycle, reason, count] for reason, count in sorted(said.items())]
    return table("cycle reason count", rows)


@fact("filter.in_out", "counted")
def _in_out(see: Reader) -> Any:
    rows = []
    for record in see.cycles():
        made, checked = see.summary("generate", record).get("rows"), see.summary("verify", record)
        if "accepted" in checked:
            rows.append([record.cycle, made, sum(checked["refused"].values()), checked["accepted"]])
        elif "seed" in record.phases:
            said = see.summary("seed", record)
            out = sum(said["refused"].values())
            rows.append([record.cycle, said["human_rows"] + out, out, said["human_rows"]])
    return table("cycle made refused kept", rows)


@fact("filter.rules")
def _rules(see: Reader) -> Any:
    phase = "verify" if "verify" in see.cycle.phases else "seed"
    skipped = ("recipe_base",)
    found = [[key, value] for key, value in flat(see.config(phase)["config"]) if key not in skipped]
    return table("setting value", found)


@fact("filter.scanned", "counted")
def _scanned(see: Reader) -> int:
    found = see.phase("verify").summary.get("scanned")
    if found is None:
        raise Absent("scanned")
    return int(found)


@fact("filter.duplicates", "counted")
def _duplicates(see: Reader) -> int:
    return sum(count for reason, count in _refused(see).items() if "duplicate" in reason)


@fact("filter.contaminated", "counted")
def _contaminated(see: Reader) -> int:
    return sum(count for reason, count in _refused(see).items() if held_out(reason))


@fact("filter.opted_out", "counted")
def _opted_out(see: Reader) -> int:
    return sum(count for reason, count in _refused(see).items() if reason in {"recalled", "excluded"})


for _path in ("illegal", "personal_data"):

    @fact(f"filter.{_path}", "counted")
    def _none(see: Reader, word: str = _path.replace("_", " ")) -> int:
        """A domain's own filter may refuse for this reason; where none has, nothing was looked for and nothing is claimed."""
        found = [count for reason, count in _refused(see).items() if word in reason]
        if not found:
            raise Absent(word)
        return sum(found)


def _probe(see: Reader, part: str) -> Mapping[str, Any]:
    """A part of the verifier's measurement of itself; a phase that accepts without verifying has none."""
    found = (see.told("verify").get("probe") or {}).get(part)
    if not found:
        raise Absent(part)
    return dict(found)


for _path, _key in (
    ("precision", "precision"),
    ("recall", "recall"),
    ("false_accept", "false_accept_rate"),
    ("false_refuse", "false_refuse_rate"),
):

    @fact(f"filter.{_path}", "measured")
    def _gold(see: Reader, key: str = _key) -> Any:
        return _probe(see, "gold").get(key)


@fact("filter.canaries", "counted")
def _canaries(see: Reader) -> Any:
    """Planted answers by phase; a phase with a wrong verdict on one does not finish, so those of finished phases were all right."""
    rows = []
    for phase in PHASES:
        said = see.summary(phase).get("canaries")
        if said:
            rows.append([phase, said.get("good"), said.get("wrong"), said.get("hostile"), 0])
    return table("phase right wrong hostile misjudged", rows)


@fact("filter.reruns", "counted")
def _reruns(see: Reader) -> dict[str, int]:
    said = _probe(see, "rerun")
    return {"judged": int(said["judged"]), "differed": len(said["failed"])}


def _figure(path: str, name: str) -> None:
    fact(path, "measured")(lambda see: see.summary("examine").get("figures", {}).get(name))


_figure("filter.label_precision", "label_precision")


@fact("filter.bias", "counted")
def _bias(see: Reader) -> Any:
    """Rows asked for and rows kept by each slice of the tasks that the domain names."""
    import json

    asked = see.table(see.artifact("proposals"), "tasks.parquet")
    kept = see.table(see.artifact("accepted"), "rows.parquet")["task"].to_list() if "accepted" in _kinds(see) else []
    slices = {row["id"]: {"level": row["level"], **json.loads(row["slices"] or "{}")} for row in asked.iter_rows(named=True)}
    counts: dict[tuple[str, str], list[int]] = {}
    for at, ids in enumerate((slices, kept)):
        for task in ids:
            for column, value in slices.get(task, {}).items():
                counts.setdefault((column, str(value)), [0, 0])[at] += 1
    total = [max(len(slices), 1), max(len(kept), 1)]
    return table(
        "slice group asked kept asked_share kept_share",
        [[*key, *both, both[0] / total[0], both[1] / total[1]] for key, both in sorted(counts.items())],
    )


def _kinds(see: Reader) -> set[str]:
    return {item.kind for done in see.cycle.phases.values() for item in done.artifacts}


@fact("env.memory_bytes")
def _memory(see: Reader) -> int:
    return int(see.config("verify")["config"]["memory_mib"]) << 20
