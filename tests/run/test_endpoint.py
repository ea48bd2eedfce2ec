"""A loop in which a model elsewhere generates: killed, lied to, and finished; what its record says of that model and its cost."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from loopwright.budgets import lines, used_by
from loopwright.cli.workspaces import check
from loopwright.endpoint.secret import read_key
from loopwright.errors import PlanError, RefusedError
from loopwright.external import Endpoint, Judge
from loopwright.ledger.audit import audit
from loopwright.ledger.independence import lineage, objections, who_checks
from loopwright.ledger.statement import Statement
from loopwright.planfile import load_plan
from loopwright.prompts import judge_code
from loopwright.replay import replay
from loopwright.report.facts import catalogue
from loopwright.session import open_run
from loopwright.trace.graph import graph_of
from loopwright.trace.lineage import row_links
from loopwright.trace.reproduce import reproduce
from loopwright.trace.rows import open_rows
from loopwright.turn import _judge_independent
from loopwright.workspace import Workspace, set_plan, template
from tests.endpoint.conftest import model_server, proxy  # noqa: F401
from tests.endpoint.proxy import Proxy
from tests.endpoint.server import NAME
from tests.run.test_bad_input import Silent

ASKED = "Write one line of Python that changes x.\nTask: {prompt}\n"


def commit(root: Path) -> None:
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    subprocess.run(["git", "commit", "-qm", "a model elsewhere"], cwd=root, check=True)


def plan_endpoint(lab: Workspace, url: str, **changes: Any) -> Endpoint:
    """Have the lab's generator ask this endpoint, three at once."""
    asked = {
        "url": url, "model": NAME, "concurrency": 3, "retries": 1, "timeout_seconds": 30.0,
        "price": {"input": 500.0, "output": 1500.0, "currency": "EUR"}, **changes,
    }  # fmt: skip
    set_plan(lab.root, {"generator.endpoint": asked, "generator.max_new_tokens": 6})
    (lab.root / "prompts").mkdir(exist_ok=True)
    (lab.root / "prompts/generate.txt").write_text(ASKED)
    commit(lab.root)
    found = lab.plan().generator.endpoint
    assert found
    return found


def statements(lab: Workspace) -> list[Statement]:
    ledger = lab.ledger()
    try:
        return list(ledger.statements())
    finally:
        ledger.close()


def test_a_cycle_by_a_model_elsewhere(lab: Workspace, victim: Callable[..., dict[str, Any]], proxy: Proxy) -> None:  # noqa: F811
    proxy.rewrite = lambda text: ["x=x[::-1]", "x=x[1:]", "x=sorted(x)"][len(text) % 3]
    endpoint = plan_endpoint(lab, proxy.url)
    assert victim(lab.root, 1, ("c0001", "generate", "middle"))["signal"] == 9
    half = len(proxy.asked)
    assert 24 <= half <= 30
    proxy.always = 'model="another"'
    assert victim(lab.root, 1)["code"] == 5
    proxy.always = ""
    lied = len(proxy.asked) - half
    assert victim(lab.root, 1)["code"] == 0
    questions = Counter(json.dumps(asked, sort_keys=True) for asked in proxy.asked)
    assert len(questions) == 48
    assert len(proxy.asked) - lied <= 48 + endpoint.concurrency, "only what was on its way at the kill is asked again"
    sent = proxy.asked[0]["messages"][0]["content"]
    assert sent.startswith("Write one line of Python that changes x.\nTask: ")
    assert "{prompt}" not in sent

    record = lab.state().cycles["c0001"]
    said = record.phases["generate"].summary
    assert said["external"] == endpoint.described
    assert said["prompts"][0]["path"] == "prompts/generate.txt"
    assert said["rows"] == 48
    late = said["cost"]["cached"] + said["cost"]["requests"] - 48  # what the lying one sent after the phase had failed
    assert 0 <= late < endpoint.concurrency
    assert [failure["error"] for failure in record.failures] == ["Killed", "IntegrityError"]
    assert "asked for the model 'tiny-llama' and answers as 'another'" in record.failures[1]["message"]
    told = statements(lab)
    costs = [one.predicate.get("cost") or one.predicate.get("summary", {}).get("cost") for one in told]
    paid = sum(cost["money"]["EUR"] for cost in costs if cost and "money" in cost)
    used = used_by(told)
    assert used.paid == pytest.approx(paid)
    lost = 2 * endpoint.concurrency  # on their way when the process ended, twice
    assert sum(cost["requests"] for cost in costs if cost) >= len(proxy.asked) - lost
    line = next(line for line in lines(lab.plan().budgets, used) if line.name == "money")
    assert (line.unit, line.method) == ("EUR", "counted: tokens x the plan's prices")

    published = b"".join(path.read_bytes() for path in (lab.root / "ledger").rglob("*") if path.is_file())
    assert proxy.url.encode() not in published, "the record names no address"
    whole(lab, endpoint)
    replayed(lab, proxy)
    independent(lab, endpoint)


def whole(lab: Workspace, endpoint: Endpoint) -> None:
    """Rows lead to the model elsewhere; what was trained on them descends from it; nothing compares it with the champion."""

    state = lab.state()
    record = state.cycles["c0001"]
    rows = open_rows(lab.root, state).where(pl.col("origin") == endpoint.identity)
    assert len(rows) == record.phases["verify"].summary["accepted"] > 0
    link = row_links(lab.root, graph_of(statements(lab)), rows.head(1))[0]
    assert link["generator"] == {"digest": endpoint.identity, "model": "tiny-llama (external)"}
    made = record.artifact("model")
    assert made
    assert {endpoint.identity, endpoint.lineage} <= lineage(state, made.digest)
    assert who_checks(state, record)[0]["model"] == endpoint.identity
    assert record.phases["examine"].summary["figures"].get("proxy_gold_gap") is None
    facts = catalogue(audit(lab.root / "ledger"), lab.root, "c0001")
    assert [row[:3] for row in facts["gen.generators"].value["rows"]] == [[None, "tiny-llama", endpoint.identity]]
    assert facts["gen.by_cycle"].value["rows"][0][1] == "tiny-llama"
    assert facts["gen.no_market"].value is None, "of a model of others nobody here knows where it is sold"


def replayed(lab: Workspace, proxy: Proxy) -> None:  # noqa: F811
    """`dvc repro` pays nothing: the same bytes from what was kept, and no question where nothing was."""
    count, place = len(proxy.asked), lab.root / "cycles/c0001/proposals"
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    replay(lab.root, "generate", "c0001")
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert reproduce(lab, "c0001", ("generate",))["verdict"] == "identical"
    assert len(proxy.asked) == count


def independent(lab: Workspace, endpoint: Endpoint) -> None:
    """A judge of the generator's family is refused before anything opens, also at another address; so is one without prompts."""
    state = lab.state()
    champion = state.cycles["c0000"].artifact("model")
    assert champion
    other = Endpoint(url="https://models.example/v1", model="great", family="Tiny-Llama")
    stranger = Endpoint(url="https://models.example/v1", model="great")
    makers = (endpoint.identity, endpoint.lineage)
    assert objections(state, champion.digest, (other.identity, other.lineage), makers)
    assert objections(state, champion.digest, (stranger.identity, stranger.lineage), makers) == []
    trained = state.cycles["c0001"].artifact("model")
    assert trained
    assert objections(state, trained.digest, (other.lineage,)), "its rows were learnt from"
    said = {"endpoint": {"url": other.url, "model": other.model, "family": other.family}}
    set_plan(lab.root, {"verifier.judge": said})
    with pytest.raises(PlanError, match=r"prompts/judge.txt cannot be read"):
        judge_code(lab.root, lab.plan())
    (lab.root / "prompts/judge.txt").write_text("{task} {answer}")
    (lab.root / "prompts/prefer.txt").write_text("{task} {first} {second}")
    (lab.root / "prompts/equals.jsonl").write_text("")
    code = judge_code(lab.root, lab.plan())
    (lab.root / "prompts/judge.txt").write_text("{task} {answer}!")
    assert judge_code(lab.root, lab.plan()) != code, "another prompt is another judge, which persons have to agree to"


def test_a_judge_of_the_generators_family_is_refused_when_the_cycle_opens(lab: Workspace) -> None:
    """Nothing is asked, nothing is opened; the judge that lies here has not even been agreed to."""
    endpoint = plan_endpoint(lab, "http://127.0.0.1:9/v1")
    judge = Judge(endpoint=Endpoint(url="https://models.example/v1", model="great", family=endpoint.model))
    with open_run(lab, Silent()) as run:
        run.plan = run.plan.model_copy(update={"verifier": run.plan.verifier.model_copy(update={"judge": judge})})
        with pytest.raises(RefusedError, match=r"the judge model sha256:.* and the generator share 1 ancestors"):
            _judge_independent(run)


PAGE = (Path(__file__).parents[2] / "docs/endpoints.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
PLANS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def typed(root: Path, block: str) -> str:
    return subprocess.run(["bash", "-euc", block], cwd=root, capture_output=True, text=True, check=True).stdout


def planned(root: Path, section: dict[str, Any], **changes: Any) -> None:
    """The page's plan, in the workspace's."""
    for name, values in section.items():
        set_plan(root, {f"{name}.{key}": value for key, value in values.items()})
    set_plan(root, changes)


def test_the_pages_plans_and_prompts_are_what_the_program_takes(tmp_path: Path) -> None:
    for name in ("loop.yaml", "recipe.yaml"):
        (tmp_path / name).write_bytes(template(name).read_bytes())
    for shell, plan in ((SHELL[0] + SHELL[1], PLANS[0]), (SHELL[3], PLANS[1])):
        planned(tmp_path, plan)
        with pytest.raises(PlanError, match="prompts/"):
            check(tmp_path)
        typed(tmp_path, shell)
        check(tmp_path)
    assert SHELL[4] == "loopwright config check\n"
    plan = load_plan(tmp_path / "loop.yaml")
    assert (plan.generator.endpoint, plan.verifier.judge) != (None, None)
    assert read_key("lab.key", tmp_path) == "the-key"


@pytest.mark.slow
def test_the_pages_commands_turn_a_cycle(lab: Workspace, proxy: Proxy) -> None:  # noqa: F811
    proxy.rewrite = lambda text: ["x=x[::-1]", "x=x[1:]", "x=sorted(x)"][len(text) % 3]
    typed(lab.root, SHELL[0] + SHELL[1])
    planned(lab.root, PLANS[0], **{"generator.endpoint.url": proxy.url, "generator.endpoint.model": NAME})
    shown = typed(lab.root, SHELL[2])
    assert "loop.yaml and recipe.yaml are fine" in shown
    assert "money" in shown
    record = lab.state().cycles["c0001"]
    assert record.closed_at
    assert record.phases["generate"].summary["cost"]["money"]["EUR"] > 0
    assert {headers["authorization"] for headers in proxy.headers} == {"Bearer the-key"}
    files = [path for path in lab.root.rglob("*") if path.is_file() and ".git/" not in str(path)]
    assert not [path for path in files if b"the-key" in path.read_bytes()]
