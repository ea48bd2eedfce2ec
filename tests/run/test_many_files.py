"""Where the rows of a cycle are more than one file holds, all that reads them reads them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.views.data import _scan
from loopwright.labelling import queue_of
from loopwright.ledger.audit import audit
from loopwright.report.facts import catalogue
from loopwright.session import open_run
from loopwright.store import tables
from loopwright.store.tables import ROWS, parts, read_table
from loopwright.trace.rows import checked_table, open_rows
from loopwright.verify import piles
from loopwright.workspace import Workspace, load_flow
from tests.run.small import copy_of
from tests.run.test_bad_input import Silent


def test_the_loop_and_its_readers_take_a_table_of_several_files(
    lab: Workspace, tmp_path: Path, victim: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = copy_of(lab.root, tmp_path / "whole")
    assert victim(whole.root, 1)["code"] == 0
    monkeypatch.setattr(piles, "LARGEST", 8)
    monkeypatch.setattr(tables, "FILE_BYTES", 0)
    with open_run(lab, Silent()) as run:
        load_flow(lab.root)(run, 1)
    record, other = (one.state().cycles["c0001"] for one in (lab, whole))
    assert record.artifact("model") == other.artifact("model")
    accepted, table = record.artifact("accepted"), lab.root / "cycles/c0001/accepted/rows.parquet"
    assert accepted
    files = parts(table)
    assert len(files) > 2
    assert checked_table(lab.root, accepted) == files
    rows = read_table(table, ROWS)
    assert rows == read_table(whole.root / "cycles/c0001/accepted/rows.parquet", ROWS)
    assert len(rows) == record.phases["verify"].summary["accepted"] == record.phases["merge"].summary["synthetic"]
    assert open_rows(lab.root, lab.state()).count([accepted.digest]) == len(rows)
    assert _scan(lab.root, record, "rows.parquet").collect().height == len(rows)
    assert {one["id"] for one in queue_of(lab.root, record).rows} <= {row["id"] for row in rows}
    seeded = lab.root / "cycles/c0000/accepted/rows.parquet"
    facts = catalogue(audit(lab.root / "ledger"), lab.root, "c0001")
    assert facts["dataset.bytes"].value == sum(file.stat().st_size for file in (*files, seeded))
