"""Who looked: lines that cost a reader nothing, anchored by the hour, and what changes them shows."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loopwright.ledger import Ledger, access
from loopwright.ledger.access import ACCESS, ended, saw
from loopwright.ledger.audit import audit
from loopwright.ledger.inspection import inspect
from tests.ledger.workshop import Workshop


class Clock(datetime):
    """A clock that a test sets."""

    moment = datetime(2026, 3, 1, 10, 5, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # noqa: ARG003
        return cls.moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(access, "datetime", Clock)
    monkeypatch.setattr(Clock, "moment", datetime(2026, 3, 1, 10, 5, tzinfo=UTC))
    return Clock


def lines(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def anchors(ledger: Ledger) -> list[dict[str, Any]]:
    return [dict(statement.predicate) for statement in ledger.statements() if statement.kind == "anchor"]


def test_an_hour_is_a_file_and_is_anchored_when_somebody_writes(workshop: Workshop, clock: type[Clock]) -> None:
    saw(workshop.root, "show", "c0001")
    saw(workshop.root, "export", "c0001", by="0123456789abcdef")
    clock.moment += timedelta(minutes=54)
    saw(workshop.root, "page", "cycles", by="0123456789abcdef")
    first = workshop.root / ACCESS / "2026-03-01T10.jsonl"
    assert [line["action"] for line in lines(first)] == ["show", "export", "page"]
    assert lines(first)[1] == {
        "action": "export", "at": "2026-03-01T10:05:00Z", "by": "0123456789abcdef", "subject": "c0001",
    }  # fmt: skip
    workshop.ledger.sign_checkpoint()
    assert anchors(workshop.ledger) == []  # the hour is not over
    clock.moment += timedelta(minutes=3)
    saw(workshop.root, "show", "c0002")
    assert ended(workshop.root) == [ACCESS / first.name]
    workshop.cycle()
    workshop.ledger.sign_checkpoint()
    [anchor] = anchors(workshop.ledger)
    assert (anchor["file"], anchor["lines"]) == (".loopwright/access/2026-03-01T10.jsonl", 3)
    assert audit(workshop.published).findings == ()
    assert inspect(workshop.root).findings == ()
    clock.moment += timedelta(hours=1)
    with workshop.ledger.lease():
        assert len(anchors(workshop.ledger)) == 2


def test_a_line_that_is_taken_out_shows_and_a_file_that_was_erased_is_missing(workshop: Workshop, clock: type[Clock]) -> None:
    for cycle in ("c0001", "c0002"):
        saw(workshop.root, "show", cycle)
    clock.moment += timedelta(hours=1)
    workshop.ledger.sign_checkpoint()
    file = workshop.root / ACCESS / "2026-03-01T10.jsonl"
    assert file.stat().st_mode & 0o777 == 0o444
    file.chmod(0o644)
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    [finding] = inspect(workshop.root).findings
    assert (finding.code, finding.where) == ("access-differs", ".loopwright/access/2026-03-01T10.jsonl")
    assert "1 lines, 2 then" in finding.message
    file.unlink()
    assert inspect(workshop.root).findings == ()


def test_a_clock_that_goes_back_adds_to_no_sealed_file(workshop: Workshop, clock: type[Clock]) -> None:
    saw(workshop.root, "show", "c0001")
    clock.moment += timedelta(hours=1)
    workshop.ledger.sign_checkpoint()
    clock.moment -= timedelta(hours=1)
    saw(workshop.root, "show", "c0002")
    clock.moment += timedelta(days=365)
    workshop.ledger.sign_checkpoint()
    assert [anchor["file"][-19:] for anchor in anchors(workshop.ledger)] == ["2026-03-01T10.jsonl", "26-03-01T10-2.jsonl"]
    assert inspect(workshop.root).findings == ()


def test_reading_needs_no_place_to_write_and_anchoring_the_controllers_key(
    workshop: Workshop, clock: type[Clock], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saw(workshop.root, "show", "c0001")
    clock.moment += timedelta(hours=1)
    (workshop.keys / "bench" / "controller.key").unlink()
    workshop.ledger.sign_checkpoint()  # by whoever has the log's key; the anchor waits
    assert anchors(workshop.ledger) == []
    (tmp_path / "ledger").mkdir()
    (tmp_path / ".loopwright").write_text("in the way")
    saw(tmp_path, "show", "c0001")
    assert "access log cannot be written" in caplog.text


def test_lines_of_many_processes_do_not_mix(workshop: Workshop, repository: Path) -> None:
    code = "import pathlib, sys; from loopwright.ledger.access import saw\nfor n in range(200): saw(pathlib.Path(sys.argv[1]), 'show', 'x' * 300 + str(n))"
    command = [sys.executable, "-c", code, str(workshop.root)]
    running = [subprocess.Popen(command, cwd=repository) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    files = sorted((workshop.root / ACCESS).iterdir())
    assert sum(len(lines(file)) for file in files) == 800


def test_a_person_is_a_key_id_of_the_machine(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    saw(workshop.root, "show", "c0001")
    monkeypatch.setattr("loopwright.ledger.access.key_folder", lambda workspace: workshop.keys / workspace)
    saw(workshop.root, "show", "c0001")
    [file] = (workshop.root / ACCESS).iterdir()
    person, *_ = [one for one in next(workshop.ledger.statements()).predicate["principals"] if one["role"] == "person"]
    assert [line["by"] for line in lines(file)] == ["unknown", person["id"]]
