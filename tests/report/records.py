"""The records that facts are held against: real ones, and copies of them in which the entries say something else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.report.asking import Log, Query, of, opened, output, same
from tests.report.recorded import Recorder
from tests.report.variants import altered

CONSTANT = {
    "access.roles": "the program's own rule of who may sign what",
    "compute.precision": "par. 125: all operations count alike",
    "compute.recomputation": "the architecture method knows none",
    "compute.test_vectors": "examples of the guidelines",
    **{f"compute.vector_{name}": "an example of the guidelines" for name in "abcdef"},
    **{
        f"log.biometric_{name}": "stands in a deployer's log: no record of a loop has it"
        for name in ("uses", "databases", "matches")
    },
}
"""Facts that are the same whatever a record says, and why."""


class Records:
    """Logs by name, each with its catalogue, which computes what is asked for once."""

    def __init__(self, logs: Mapping[str, Log]) -> None:
        self.logs = dict(logs)

    @cached_property
    def facts(self) -> dict[str, Any]:
        return {name: log.facts() for name, log in self.logs.items()}

    def wrong(self, queries: Mapping[str, Query]) -> dict[tuple[str, str], tuple[Any, Any]]:
        """Where a fact is not what its query gives: by record and name, (said, wanted)."""
        found = {}
        for name, log in self.logs.items():
            for path, query in queries.items():
                said, wanted = self.facts[name][path].value, query(log)
                if not same(said, wanted):
                    found[name, path] = (said, wanted)
        return found

    def constant(self, queries: Mapping[str, Query]) -> dict[str, Any]:
        """Facts that no record gives a value, or that all records give the same: of these nothing is shown."""
        found = {}
        for path in queries.keys() - CONSTANT.keys():
            values = [self.facts[name][path].value for name in self.logs]
            told = [value for value in values if not _empty(value)]
            if not told or all(same(value, values[0]) for value in values):
                found[path] = values[0]
        return found


def _empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, dict) and value.get("rows") == [])


def make(lived: Path, folder: Path) -> Records:
    """Three real records, two of which are of one loop, and what the variants make of them."""
    whole = Log.of(lived, "c0002")
    early = whole.upto(of(whole, "answer")[0]["leaf"])  # as the loop left it, before anybody did anything
    told = Log.of(recorded(folder / "recorded"), "c0003").altered(chained)
    return Records({"lived": whole, "early": early, "recorded": told, **altered(whole, told, folder)})


def chained(log: Log) -> None:
    """Each archive goes on from the one before it: the recorder names a cycle's own everywhere."""
    for each in of(log, "phase"):
        said = each["predicate"]
        before = opened(log, said["cycle"])["predicate"]["prev"]
        if said["phase"] == "merge":
            said["inputs"][0].update(path=f"cycles/{before}/archive", digest=output(log, "archive", before) or "")


def recorded(root: Path) -> Path:
    """Four cycles of which three were promoted, one that failed and was given up; somebody went back. Nothing lies beside the log."""
    recorder = Recorder(root)
    for number in range(4):
        recorder.turn(number)
    recorder.open(4)
    recorder.failure("generate", 4, "no space left")
    for kind, said in (
        (
            "close",
            {"cycle": "c0004", "action": "reject", "champion": "c0002", "abandoned": "no use", "closed_at": recorder.later(2)},
        ),
        ("rollback", {"cycle": "c0001", "reason": "older is better", "rolled_back_at": recorder.later(9)}),
    ):
        recorder.ledger.append(kind, [], said, role="controller", event=f"the last {kind}")
    recorder.done()
    return root
