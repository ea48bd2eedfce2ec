"""Offline: what was done without the consent it needed is named, even where the driver itself signed it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from loopwright.consent import describe, desk
from loopwright.govern.requests import Desk
from loopwright.ledger.consented import unconsented
from loopwright.ledger.verify import verify
from loopwright.types import digest_bytes
from loopwright.workspace import Workspace
from tests.golden.make_v1 import FOLDER
from tests.govern.test_requests import agree, lab, people, proposed, template  # noqa: F401  # fixtures
from tests.ledger.workshop import closing, digest, opening


def codes(desk_: Desk) -> list[str]:
    found = list(unconsented(desk_.ledger.statements()))
    assert all(one.where.startswith("ledger entry") for one in found)
    return [one.code for one in found]


def execute(people: Desk, request: str, action: str, *approvals: int, **more: Any) -> None:  # noqa: F811
    said = {"request": request, "action": action, "approvals": list(approvals), "executed_at": desk.now(), **more}
    people.ledger.append("execute", [], said, role="controller", event=f"execute:{len(approvals)}:{action}")


def test_what_persons_agreed_to_is_fine(people: Desk) -> None:  # noqa: F811
    asked = proposed(people)
    agree(people, asked)
    people.consent.carry_out(asked.id)
    agree(people, proposed(people, "other"), approves=False)
    assert codes(people) == []
    assert list(unconsented(Workspace(root=FOLDER).ledger().statements())) == []


def test_a_driver_that_carries_out_what_nobody_granted_is_named(people: Desk) -> None:  # noqa: F811
    asked = proposed(people)
    execute(people, asked.id, "recipe")
    people.ledger.publish()
    assert codes(people) == ["consent-missing"]
    assert verify(people.root).ok, "its signature is good, only its right to do this is not"


@pytest.mark.parametrize("how", ["twice", "other approvals", "another action", "a cycle", "vetoed", "unknown"])
def test_what_is_carried_out_otherwise_than_granted_is_named(people: Desk, how: str) -> None:  # noqa: F811
    asked = proposed(people)
    approval = agree(people, asked)
    if how == "vetoed":
        agree(people, asked, "safety", approves=False)
    if how == "twice":
        people.consent.carry_out(asked.id)
    request = digest_bytes(b"unknown") if how == "unknown" else asked.id
    approvals = (approval, 0) if how == "other approvals" else (approval,)
    more = {"cycle": "c0003"} if how == "a cycle" else {}
    statements = list(people.ledger.statements())
    execute(people, request, "promote" if how == "another action" else "recipe", *approvals, **more)
    wanted = {"twice": "consent-missing", "vetoed": "consent-missing", "unknown": "request-unknown"}.get(how, "consent-differs")
    assert codes(people) == [wanted]
    assert len(statements) + 1 == people.ledger.size


def test_another_judge_or_policy_needs_a_request(people: Desk) -> None:  # noqa: F811
    rules = people.consent.plan.approvals.model_dump(mode="json")
    policy = people.consent.plan.policy

    def turn(cycle: str, fence: int, **said: Any) -> None:
        told = opening(cycle, fence=fence, policy=policy, approvals=rules, **said)
        people.ledger.append("open", [], told, role="controller", event=f"open:{cycle}")
        people.ledger.append("close", [], closing(cycle), role="controller", event=f"close:{cycle}")

    turn("c0000", 1)
    turn("c0001", 2, code={"generator": digest("generator"), "judge": digest("another")})
    assert codes(people) == ["judge-unapproved"]
    ask = describe(people.root, people.consent.plan, people.consent.state(), "judge")
    asked, _ = people.consent.requested(ask, ())
    agree(people, asked, "owner")
    agree(people, asked, "safety")
    people.consent.carry_out(asked.id)
    turn("c0002", 3, code={"generator": digest("generator"), "judge": ask.subjects[0].digest})
    assert codes(people) == ["judge-unapproved"], "the second change was agreed to"
    policy = digest("laxer")
    turn("c0003", 4, code={"generator": digest("generator"), "judge": ask.subjects[0].digest})
    assert codes(people) == ["judge-unapproved", "policy-unapproved"]


def test_the_command_names_it_too(people: Desk, tmp_path: Path) -> None:  # noqa: F811
    from typer.testing import CliRunner

    from loopwright.cli import app

    execute(people, proposed(people).id, "recipe")
    people.ledger.publish()
    shutil.copytree(people.root, tmp_path / "copy")
    done = CliRunner().invoke(app, ["verify", "--workspace", str(tmp_path / "copy")])
    assert "consent-missing: ledger entry 2" in done.output
    assert getattr(done.exception, "exit_code", 0) == 5
