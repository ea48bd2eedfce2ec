"""Run the long tests and note in docs/LOG.md when, on what, how many and how long: ``make test-slow``."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

LOG = Path(__file__).parents[1] / "docs" / "LOG.md"
HEADER = "| date (UTC) | commit | passed | failed | skipped | minutes |\n|---|---|---|---|---|---|\n"


class Counts:
    """Counts the outcomes of a run; an error in a fixture counts as a failure."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once: by its call, or by the phase that kept the call from happening."""
        if report.when == "call" or not report.passed:
            self.outcomes[report.outcome] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be read is a failure too."""
        if report.failed:
            self.outcomes["failed"] += 1


def commit(repository: Path) -> str:
    """The short id of what was tested; a ``+`` says that the tree had changes on top of it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=repository, check=False, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    return (git("rev-parse", "--short=9", "HEAD") or "none") + ("+" if git("status", "--porcelain") else "")


def row(tested: str, outcomes: Counter[str], seconds: float) -> str:
    """One line of the table."""
    counts = " | ".join(str(outcomes[name]) for name in ("passed", "failed", "skipped"))
    return f"| {datetime.now(UTC):%Y-%m-%d %H:%M} | {tested} | {counts} | {seconds / 60:.1f} |\n"


def note(log: Path, line: str) -> None:
    """Put the line first in the table of ``log``; ValueError where the table is not there."""
    before, header, after = log.read_text(encoding="utf-8").partition(HEADER)
    if not header:
        raise ValueError(f"{log} lacks the table of long tests")
    log.write_text(before + header + line + after, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run ``pytest -m slow`` with further arguments, note the result, and end as pytest ended."""
    counts, begun, tested = Counts(), time.monotonic(), commit(LOG.parents[1])
    status = pytest.main(["-m", "slow", *arguments], plugins=[counts])
    note(LOG, row(tested, counts.outcomes, time.monotonic() - begun))
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
