"""The index says what a fold over the whole log says, after any number of steps, and after it was dropped or spoilt."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from loopwright.budgets import used_by
from loopwright.index import Filter, Index
from loopwright.index.tables import file_of
from loopwright.ledger import Ledger
from loopwright.ledger.fold import fold
from loopwright.ledger.overview import overview
from tests.report.recorded import Recorder, record_loop

STANDING = ("champion", "last", "open", "latest")


def answers(root: Path) -> list:
    """All that the index can be asked, in a few questions."""
    with Index.open(root) as index:
        pages = [index.page(Filter(), start=start, limit=2).rows for start in range(0, 6, 2)]
        sorted_ones = [index.page(Filter(), sort="gain", descending=down).rows for down in (True, False)]
        return [
            dict(index.told),
            index.latest(99),
            pages,
            sorted_ones,
            index.counts(),
            index.kinds(),
            index.log(limit=99).rows,
            index.telling("", 999),
        ]


def same_as_fold(root: Path) -> None:
    ledger = Ledger.open(root)
    statements = list(ledger.statements())
    ledger.close()
    state = fold(statements)
    with Index.open(root) as index:
        assert index.latest(99) == overview(state)["cycles"]
        assert index.used == used_by(statements)
        assert [index.told[name] for name in STANDING] == [getattr(state, name) for name in STANDING]
        assert (index.told["size"], index.told["demo"]) == (state.leaves, state.demo)
        assert [row["keyid"] for row in index.log(limit=999).rows] == [one.keyid for one in statements[::-1]]
        assert index.records(state.cycles) == dict(state.cycles)
        for name, record in state.cycles.items():
            for phase, done in record.phases.items():
                assert all((name, phase) in index.users(one["path"], one["digest"], 99).steps for one in done.inputs)
                assert all((name, phase) in index.telling(one.digest[:17], 99).steps for one in done.artifacts)
        partly = index.state(*state.cycles)
        assert (partly.acts, partly.roster, dict(partly.cycles)) == (state.acts, state.roster, dict(state.cycles))


def test_it_follows_the_log_step_by_step(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for number in range(3):
        recorder.turn(number)
        same_as_fold(tmp_path)
    recorder.open(3)
    same_as_fold(tmp_path)
    for phase in ("generate", "verify", "merge"):  # each seen by an index that holds the cycle half done
        recorder.phase(phase, 3)
        same_as_fold(tmp_path)
    recorder.failure("train", 3, "disk full")
    same_as_fold(tmp_path)
    recorder.done()


def test_dropped_or_damaged_it_comes_out_the_same(tmp_path: Path) -> None:
    root = record_loop(tmp_path / "lab", 4, running=True)
    before = answers(root)
    file_of(root).unlink()
    assert answers(root) == before
    file_of(root).write_bytes(b"not a database" * 100)
    for end in ("-wal", "-shm"):
        Path(f"{file_of(root)}{end}").unlink(missing_ok=True)
    assert answers(root) == before
    with sqlite3.connect(file_of(root)) as database:
        database.execute("PRAGMA user_version = 1")  # of another version
    assert answers(root) == before


def test_another_log_in_its_place_is_seen(tmp_path: Path) -> None:
    """A record that was restored from elsewhere: as long as, or longer than, the one that the index knew."""
    one, other = record_loop(tmp_path / "one", 2), record_loop(tmp_path / "other", 3, demo=False)
    answers(one)
    file_of(other).unlink(missing_ok=True)
    file_of(one).rename(file_of(other))
    same_as_fold(other)


def test_filters_paging_and_order_are_sqls(tmp_path: Path) -> None:
    root = record_loop(tmp_path / "lab", 4, failed=True)
    with Index.open(root) as index:

        def names(where: Filter, **how) -> list[str]:
            return [row["cycle"] for row in index.page(where, **how).rows]

        assert names(Filter(decisions=["promote"])) == ["c0002", "c0001", "c0000"]
        assert names(Filter(decisions=["open"])) == ["c0004"] == names(Filter(failed=True))
        assert names(Filter(text="paired GAIN -0.0")) == ["c0003"]
        assert names(Filter(text="%")) == [], "a text is looked for as it is"
        assert names(Filter(), sort="sealed")[-1] == "c0004", "what was not measured is last, either way"
        assert names(Filter(), sort="sealed", descending=False) == ["c0000", "c0001", "c0003", "c0002", "c0004"]
        page = index.page(Filter(lights="warn"), start=2, limit=2)
        assert (page.total, [row["cycle"] for row in page.rows]) == (3, ["c0001"])
        assert names(Filter(since=page.rows[0]["opened_at"], until=index.latest(1)[0]["opened_at"])) == [
            "c0003",
            "c0002",
            "c0001",
        ]
        assert index.beside("c0001") == ("c0000", "c0002")
        with pytest.raises(ValueError, match="cannot be sorted"):
            index.page(Filter(), sort="cycle; DROP TABLE cycle")


def test_kinds_that_are_not_always_wanted_are_whole_where_they_are_asked_for(tmp_path: Path) -> None:
    root = record_loop(tmp_path / "lab", 1)
    recorder = Recorder.again(root)
    ledger = recorder.ledger
    said = {
        "field": "labels", "about": "c0000", "version": 1, "state": "withdrawn", "digest": None, "media_type": None, "document": None,
        "confirms": None, "answered_at": "2026-11-26T07:00:00.000Z",
    }  # fmt: skip
    told = {"incident": "inc-0000000a", "act": "open", "facts": {}, "told_at": "2026-11-26T07:00:00.000Z"}
    ledger.append("answer", (), said, role="person", event="answer:1")
    ledger.append("incident", (), told, role="person", event="incident:1")
    whole = fold(list(ledger.statements()))
    recorder.done()
    with Index.open(root) as index:
        assert not index.state().acts.answers
        found = index.state("c0000", more=("answer", "incident"))
        assert found.acts == whole.acts
        assert (len(found.acts.answers), len(found.acts.incidents)) == (1, 1)
