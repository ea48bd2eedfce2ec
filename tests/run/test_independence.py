"""Who is checking the builder: told from the record, and refused where judge and builder are not apart."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from loopwright import identity
from loopwright.checks import checks, shared_code
from loopwright.errors import RefusedError, WaitingForPerson
from loopwright.ledger.independence import lineage, objections, who_checks
from loopwright.run import Run
from loopwright.session import open_run
from loopwright.types import digest_value
from loopwright.workspace import Workspace, load_flow
from tests.run.test_bad_input import Silent


class Judged:
    """A domain that says by which models it judges; they take their own answer three times in four."""

    def __init__(self, inner: Any, models: tuple[str, ...]) -> None:
        self._inner = inner
        self.judge_models = models

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def equals(self, seed: int, count: int) -> list[tuple[Any, str, str]]:
        task = self._inner.task("rev")
        return [(task, f"own {place}", f"other {place}") for place in range(count)]

    def prefers_first(self, task: Any, first: str, second: str, sandbox: Any) -> bool:
        return first.startswith("own") or int(first.split()[1]) % 2 == 1


def judged_by(run: Run, *models: str) -> None:
    """Have the run's domain judge by these."""
    watched: Any = run.tools.domain
    watched.inner = Judged(watched.inner, models)


def model_of(lab: Workspace, cycle: str) -> str:
    artifact = lab.state().cycles[cycle].artifact("model")
    assert artifact
    return artifact.digest


def test_the_table_is_told_from_the_record(lab: Workspace, victim: Callable[..., dict[str, Any]]) -> None:
    assert victim(lab.root, 2)["code"] == 0
    state = lab.state()
    links = {link["phase"]: link for link in who_checks(state, state.cycles["c0001"])}
    assert {phase: link["verdict"] for phase, link in links.items()} == {
        "generate": "independent",
        "verify": "independent",
        "train": "independent",
        "evaluate": "not checked",
        "examine": "not checked",
        "decide": "not checked",
    }
    assert links["generate"]["model"] == model_of(lab, "c0000")
    assert links["generate"]["maker"].startswith("generator ")
    assert links["generate"]["checker"].startswith("verifier ")
    command = [sys.executable, "-m", "loopwright", "show", "c0001", "--json"]
    shown = json.loads(subprocess.run(command, cwd=lab.root, capture_output=True, check=True).stdout)
    assert shown["checks"] == json.loads(json.dumps(checks(state, state.cycles["c0001"])))
    common = {link["phase"]: link["shared_code"] for link in shown["checks"]}
    assert common["generate"] == ["loopwright.domains", "loopwright.models"]
    assert common["verify"] == ["loopwright.domains", "loopwright.models", "loopwright.sandbox"]
    assert common["decide"] is None, "nobody checked it"
    first, second = model_of(lab, "c0000"), model_of(lab, "c0002")
    assert lineage(state, second) == {first, second}, "its parent, which also made its data; a rejected challenger did not"
    rejected = model_of(lab, "c0001")
    assert objections(state, first, (rejected,)), "a judge that descends from the generator"
    assert objections(state, second, (first,)), "a generator that descends from the judge"
    assert objections(state, second, (rejected,)), "neither from the other, both from a third"


def test_code_is_shared_where_its_digest_is_the_same(lab: Workspace) -> None:
    """A package that both name but that changed in between is not shared; a record of a version that named none says so."""
    record = lab.state().cycles["c0000"]
    ours, theirs = record.phases["train"], record.phases["evaluate"]
    assert shared_code(record, "train") == ["loopwright.domains", "loopwright.models"]
    for packages, common in (({"loopwright.models": "sha256:" + "0" * 64}, []), (None, None)):
        phases = {"train": replace(ours, environment={**ours.environment, "packages": packages}), "evaluate": theirs}
        assert shared_code(replace(record, phases=phases), "train") == common


def test_a_phases_code_digest_is_over_the_packages_that_it_names(lab: Workspace) -> None:
    ledger = lab.ledger()
    for statement in ledger.statements():
        if statement.kind == "phase":
            assert statement.predicate["code"] == digest_value(statement.predicate["environment"]["packages"])
    ledger.close()


def test_a_judge_from_the_generators_line_is_refused(lab: Workspace) -> None:
    champion = model_of(lab, "c0000")
    with open_run(lab, Silent()) as run:
        judged_by(run, champion)
        with pytest.raises(RefusedError, match="share 1 ancestors"):
            load_flow(lab.root)(run, 1)
    assert list(lab.state().cycles) == ["c0000"], "nothing was opened"


def test_a_judge_of_another_line_is_taken_and_recorded(lab: Workspace) -> None:
    stranger = "sha256:" + "5" * 64
    with open_run(lab, Silent()) as run:
        judged_by(run, stranger)
        load_flow(lab.root)(run, 1)
    record = lab.state().cycles["c0001"]
    assert record.phases["verify"].summary["judge_models"] == [stranger]
    measured = record.phases["examine"].summary["figures"]["self_preference"]
    assert (measured["value"], measured["n"]) == (0.25, 200)
    assert record.phases["decide"].summary["lights"]["self_preference"] == "warn"


@pytest.mark.parametrize("judge", ["verifier", "evaluator", "gate"])
def test_one_key_for_builder_and_judge_is_refused(lab: Workspace, judge: str) -> None:
    state = lab.state()
    [maker], [checker] = state.roster.current("generator"), state.roster.current(judge)
    shared = replace(state.roster.holdings[checker.id], principal=replace(checker, public_key=maker.public_key))
    roster = replace(state.roster, holdings={**state.roster.holdings, checker.id: shared})
    assert objections(state, None, ()) == []
    assert objections(replace(state, roster=roster), None, ()) == [f"generator and {judge} hold the same key"]


@pytest.mark.parametrize("package", ["loopwright.verify", "loopwright.sandbox", "loopwright.gate", "loopwright.domains"])
def test_a_judge_whose_code_changed_waits_for_a_person(lab: Workspace, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Whoever changed it: a model that reached the code of its verifier would be judged by it next."""
    real = identity.package_digest
    monkeypatch.setattr(identity, "package_digest", lambda name: "sha256:" + "0" * 64 if name == package else real(name))
    with pytest.raises(WaitingForPerson, match="judge"), open_run(lab, Silent()) as run:
        load_flow(lab.root)(run, 1)
    assert list(lab.state().cycles) == ["c0000"], "nothing was opened"
