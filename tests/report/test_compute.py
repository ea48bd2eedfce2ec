"""The compute account: the guidelines' examples, sets of ancestors in which nothing counts twice, thresholds, trends."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.ledger.statement import Statement
from loopwright.report.compute import account, compute_facts, ledger_csv, passes
from loopwright.report.compute.methods import VECTORS, Vector, agree, one_third, peak, significant, standing
from loopwright.report.compute.trend import crossing

P = 1000
"""Parameters of all models here."""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_the_guidelines_examples_come_out_as_they_say(vector: Vector) -> None:
    assert vector.holds
    assert significant(vector.value, vector.digits) == vector.stated


def test_the_examples_are_reckoned_and_not_copied() -> None:
    assert not Vector(id="A", parameters=3.8e9, tokens=3.4e12, stated=7.5e22, digits=2).holds
    told = compute_facts((), "c0000")
    assert told["compute.vector_b"].value == pytest.approx(1.08e23)
    assert [row[0] for row in told["compute.test_vectors"].value["rows"]] == list("ABCDEF")


@dataclass
class Record:
    """Statements of a loop, one phase after the other, as a run writes them."""

    statements: list[Statement]

    def phase(self, cycle: str, phase: str, inputs: dict[str, str], outputs: list[str], **summary: Any) -> None:
        at = len(self.statements)
        when = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=at)).isoformat()
        said = {
            "cycle": cycle,
            "phase": phase,
            "summary": summary,
            "inputs": [{"name": name, "path": path, "digest": path} for name, path in inputs.items()],
            "outputs": [{"name": "", "kind": "", "path": path, "digest": path} for path in outputs],
            "environment": {"cpu": "x86_64 avx fma", "energy": {"how": "not measured", "why": "a test"}},
            "finished_at": when,
            "seconds": 10.0,
        }
        self.statements.append(Statement(index=at, kind="phase", keyid="", subjects=(), predicate=said))

    def seed(self, **base: Any) -> None:
        self.phase("c0000", "seed", {}, ["cycles/c0000/suites", "cycles/c0000/archive"])
        self.train("c0000", None, 100, **base)

    def train(self, cycle: str, parent: str | None, tokens: int, **base: Any) -> None:
        device = {"kind": "cpu", "name": "a CPU", "threads": 1, "mhz": 1000, "count": 1, "seconds": 2.0, "busy": 0.5}
        counted = {"flop": 5 * P * 10, "tokens": 10}
        update = {"tokens": tokens, "parameters": P, "trained": P, "counted": counted, "device": device}
        model = {"model": f"cycles/{parent}/model"} if parent else {}
        compute = {"base": base or None, "updates": [update]}
        self.phase(cycle, "train", {**model, "archive": f"cycles/{cycle}/archive"}, [f"cycles/{cycle}/model"], compute=compute)

    def turn(self, cycle: str, writer: str, before: str, parent: str | None, tokens: int = 50, *, kept: int = 10) -> None:
        """A whole cycle: ``writer``'s samples join the archive of ``before``, and ``parent``'s weights are trained further."""
        own = f"cycles/{cycle}"
        self.phase(
            cycle,
            "generate",
            {"model": f"cycles/{writer}/model"},
            [f"{own}/proposals"],
            rows=100,
            tokens=900,
            compute={"prompt_tokens": 100},
        )
        self.phase(cycle, "verify", {"proposals": f"{own}/proposals"}, [f"{own}/accepted"], accepted=kept)
        self.phase(cycle, "merge", {"archive": f"cycles/{before}/archive", "accepted": f"{own}/accepted"}, [f"{own}/archive"])
        self.train(cycle, parent, tokens)
        self.phase(cycle, "evaluate", {"model": f"{own}/model"}, [f"{own}/evaluation"], tokens=70)


def record() -> Record:
    return Record([])


def totals(made: Record, model: str, **more: Any) -> dict[str, float]:
    found = account(passes(made.statements), f"cycles/{model}/model", **more)
    return {entry.counted_as.id: found.total(entry.counted_as.id) for entry in found.entries} | {
        "cumulative": found.cumulative,
        "direct": found.direct,
    }


def test_a_line_of_weights_carries_its_ledger_and_discarded_samples_count() -> None:
    made = record()
    made.seed()
    made.turn("c0001", "c0000", "c0000", "c0000", kept=1)
    made.turn("c0002", "c0001", "c0001", "c0001", kept=0)
    found = totals(made, "c0002")
    assert found["parameter_updates"] == 6 * P * 50
    assert found["inherited_weights"] == 6 * P * (100 + 50)
    assert found["synthetic_generation_nonpublic"] == 2 * (2 * P * (900 + 100))  # all samples and prompts, whatever was kept
    assert found["diagnostic"] == 2 * (2 * P * 70)
    assert found["direct"] == 6 * P * 200
    assert found["cumulative"] == found["direct"] + found["synthetic_generation_nonpublic"]
    public = totals(made, "c0002", published=["cycles/c0001/proposals"])
    assert public["synthetic_generation_public"] == 2 * P * 1000
    assert public["cumulative"] == found["cumulative"] - 2 * P * 1000


def test_a_model_trained_anew_pays_for_the_data_and_not_for_who_wrote_it() -> None:
    made = record()
    made.seed()
    made.turn("c0001", "c0000", "c0000", None)
    found = totals(made, "c0001")
    assert found["direct"] == 6 * P * 50
    assert found["data_parent_training"] == 6 * P * 100
    assert found["cumulative"] == 6 * P * 50 + 2 * P * 1000
    assert account(passes(made.statements), "cycles/c0001/model").relation == "anew"


def test_what_made_a_data_parent_is_not_counted_for_its_reader() -> None:
    made = record()
    made.seed()
    made.turn("c0001", "c0000", "c0000", None)
    made.turn("c0002", "c0001", "c0000", None)  # its archive has no row of c0001's data; c0001 only wrote for it
    found = totals(made, "c0002")
    assert found["synthetic_generation_nonpublic"] == 2 * P * 1000
    assert found["data_parent_training"] == 6 * P * (50 + 100) + 2 * P * 1000
    assert "machine_learnt_exploration" not in found


def test_what_the_loop_tried_and_left_is_a_class_of_its_own() -> None:
    made = record()
    made.seed()
    made.turn("c0001", "c0000", "c0000", "c0000", tokens=70)  # not promoted: the next one starts from c0000 again
    made.turn("c0002", "c0000", "c0001", "c0000", tokens=80)
    told = compute_facts(made.statements, "c0002")
    made.turn("c0003", "c0002", "c0002", "c0002", tokens=90)
    assert compute_facts(made.statements, "c0002") == told  # what comes after a cycle changes nothing of its account
    assert told["compute.exploration"].value == 6 * P * 70
    assert told["compute.total"].value == 6 * P * (100 + 80) + 2 * (2 * P * 1000)  # its rows stayed in the archive
    assert told["compute.with_exploration"].value == told["compute.total"].value + 6 * P * 70


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.booleans()), min_size=1, max_size=8))
def test_over_any_history_every_row_counts_once_and_data_parents_add_no_training(
    history: list[tuple[int, int, bool]],
) -> None:
    made, names = record(), ["c0000"]
    made.seed()
    parents: dict[str, str | None] = {"c0000": None}
    for number, (writer, parent, anew) in enumerate(history, 1):
        name = f"c{number:04d}"
        parents[name] = None if anew else names[parent % number]
        made.turn(name, names[writer % number], names[-1], parents[name], tokens=10**number)
        names.append(name)
    rows = passes(made.statements)
    for name in names:
        found = account(rows, f"cycles/{name}/model")
        listed = [entry.made.id for entry in found.entries]
        assert len(listed) == len(set(listed))
        line, parent = [name], parents[name]
        while parent is not None:
            line.append(parent)
            parent = parents[parent]
        trained = {"c0000": 100} | {each: 10 ** names.index(each) for each in names[1:]}
        assert found.direct == 6 * P * sum(trained[each] for each in line)
        generations = len({row.id for row in found.counted if row.kind == "generation"})
        assert generations == names.index(name)  # the archive is one chain: each generation so far, once
        assert found.cumulative == found.direct + generations * 2 * P * 1000


def test_a_fork_has_the_account_of_the_past_that_it_brought_along() -> None:
    made = record()
    made.seed()
    made.turn("c0001", "c0000", "c0000", "c0000")
    brought = [one.predicate for one in made.statements]
    cycles = [
        {"cycle": name, "phases": [{k: v for k, v in one.items() if k != "outputs"} for one in brought if one["cycle"] == name]}
        for name in ("c0000", "c0001")
    ]
    artifacts = [{**out, "cycle": one["cycle"], "phase": one["phase"]} for one in brought for out in one["outputs"]]
    predicate = {"cycles": cycles, "artifacts": artifacts}
    fork = Record([Statement(index=0, kind="import", keyid="", subjects=(), predicate=predicate)])
    assert totals(fork, "c0001") == totals(made, "c0001")
    assert totals(fork, "c0000") == totals(made, "c0000")


def test_weights_of_someone_else_are_inherited_and_held_against_a_third() -> None:
    made = record()
    made.seed(name="base", digest="sha256:0", flop=None, systemic=None)
    made.turn("c0001", "c0000", "c0000", "c0000")
    told = compute_facts(made.statements, "c0001")
    assert told["compute.relation"].value == "external"
    third = dict(zip(told["compute.one_third"].value["columns"], told["compute.one_third"].value["rows"][0], strict=True))
    assert third["assumed"] == 1e23
    assert third["modification"] == told["compute.total"].value
    assert told["compute.reported"].value.startswith("\u2265")  # what the base took is not known
    made = record()
    made.seed(name="base", digest="sha256:0", flop=3e9, systemic=False)
    assert totals(made, "c0000")["cumulative"] == 3e9 + 6 * P * 100
    assert one_third(2e9, 3e9, systemic=None)["standing"] == "above"
    assert one_third(1e22, None, systemic=True)["limit"] == pytest.approx(1e25 / 3)


def test_an_older_record_gives_lower_bounds_and_says_so() -> None:
    made = record()
    made.phase("c0000", "train", {"archive": "a"}, ["cycles/c0000/model"], parameters=P, tokens=40)
    told = compute_facts(made.statements, "c0000")
    assert told["compute.total"].value == 6 * P * 40
    assert told["compute.method"].value.startswith("\u2265")
    assert told["compute.hardware_method"].value is None
    assert told["energy.total"].value is None
    assert told["energy.method"].value == "a test"


def test_both_methods_stand_side_by_side() -> None:
    made = record()
    made.seed()
    told = compute_facts(made.statements, "c0000")["compute.agreement"].value
    row = dict(zip(told["columns"], told["rows"][0], strict=True))
    assert row["hardware_flop"] == 1 * 2.0 * (1e9 * 32) * 0.5
    assert row["implied_utilisation"] == pytest.approx(6 * P * 100 / (2.0 * 1e9 * 32))
    assert row["agrees"] is False
    assert agree(100, 130)
    assert not agree(100, 131)
    assert peak({"kind": "cuda", "name": "NVIDIA H100 80GB HBM3"}) == (989e12, "H100: NVIDIA H100 data sheet, dense BF16 (SXM)")
    assert peak({"kind": "cuda", "name": "an unheard-of device"}) is None


def test_near_a_threshold_the_margin_is_said() -> None:
    assert [standing(value, 1e25) for value in (7.6e24, 7.8e24, 1.2e25, 1.5e25)] == [
        "below",
        "within-margin",
        "within-margin",
        "above",
    ]


def test_a_trend_needs_three_growing_points() -> None:
    day = [(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)).isoformat() for number in range(5)]
    line = [(when, 1e22 * number) for number, when in enumerate(day, 1)]
    seen = crossing(line, 1e23)
    assert (seen.reason, seen.n) == ("projected", 5)
    assert seen.date(seen.years) == "2026-01-10"
    assert crossing(line[:2], 1e23).reason == "too-few"
    assert crossing([(when, 1e22) for when in day], 1e23).reason == "not-growing"
    assert crossing(line, 1e22).reason == "passed"
    noisy = crossing(list(zip(day, (1e22, 3e22, 2e22, 4e22, 3e22), strict=True)), 1e23)
    assert noisy.low is not None
    assert noisy.years is not None
    assert noisy.low < noisy.years
    assert noisy.high is None  # the slope may be zero
    assert crossing([(when, number) for number, when in enumerate(day)], 1e25).date(1e18) is None


def test_the_ledger_is_a_table_of_all_rows_and_no_spreadsheet_runs_it() -> None:
    made = record()
    made.seed(name="=HYPERLINK(0)", digest="sha256:0", flop=1e9, systemic=None)
    made.turn("c0001", "c0000", "c0000", "c0000")
    found = account(passes(made.statements), "cycles/c0001/model")
    rows = list(csv.DictReader(io.StringIO(ledger_csv(found).decode(), newline="")))
    assert len(rows) == len(found.entries)
    counted = sum(float(row["flop"]) for row in rows if row["counts"] == "true")
    assert counted == found.cumulative
    assert [row["note"] for row in rows if row["note"]] == ["'=HYPERLINK(0)"]


def test_the_document_asks_for_nothing_that_the_account_does_not_tell() -> None:
    folder = Path(__file__).parents[2] / "reports" / "compute-account"
    declared = yaml.safe_load((folder / "fields.yaml").read_text("utf-8"))
    fields = {each["id"]: each for section in declared["sections"] for each in section["fields"]}
    assert {f"FL-{number}" for number in range(1, 15)} | {f"FV-{model}" for model in "ABCDEF"} <= fields.keys()
    made = record()
    made.seed()
    made.turn("c0001", "c0000", "c0000", "c0000")
    told = compute_facts(made.statements, "c0001")
    asked = {name for each in fields.values() for name in (*each.get("query", ()), *(na["when"] for na in each.get("na", ())))}
    assert {name for name in asked if name.startswith(("compute.", "energy."))} <= told.keys()
    for language in ("en", "de"):
        labels = yaml.safe_load((folder / f"labels.{language}.yaml").read_text("utf-8"))
        assert labels["fields"].keys() == fields.keys()
    blank = [name for name, each in fields.items() if name[:2] in {"FL", "FV"} and told[each["query"][0]].value is None]
    assert blank == []
