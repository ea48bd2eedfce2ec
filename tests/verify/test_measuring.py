"""The verifier measured: gold of known truth, and a second judgement that refuses what it cannot repeat."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.domains.behaviour import PROBE as PROBES
from loopwright.domains.behaviour import pools
from loopwright.domains.gold import perturbed
from loopwright.domains.operations import answer_of, run, steps_of
from loopwright.domains.programs import Programs
from loopwright.domains.reasoning import ReasoningGym
from loopwright.errors import PlanError
from loopwright.plugins import Executable, KnowsGold, MakesFresh, offered
from loopwright.sandbox import Limits, Sandbox
from loopwright.sandbox.pool import open_sandbox
from loopwright.store.tables import ROWS, read_table
from loopwright.types import Verdict, canonical
from loopwright.verify import verify
from loopwright.verify.measuring import PROBE
from loopwright.verify.phase import DETAILS


class Lenient(Programs):
    """A verifier with a hole: whatever holds the words ``sorted(`` passes."""

    def judge(self, pairs, purposes, sandbox, progress=None):
        verdicts = super().judge(pairs, purposes, sandbox, progress)
        return [
            Verdict(status="PASS", level=v.level) if "sorted(" in a else v for (_, a), v in zip(pairs, verdicts, strict=True)
        ]


class Harsh(Programs):
    """A verifier that takes nothing."""

    def judge(self, pairs, purposes, sandbox, progress=None):
        return [Verdict(status="FAIL", level=sandbox.level, reason="visible check 0") for _ in pairs]


class Moody(Programs):
    """A verifier that says something else the second time."""

    def judge(self, pairs, purposes, sandbox, progress=None):
        verdicts = super().judge(pairs, purposes, sandbox, progress)
        moody = [] if any("#" not in answer for _, answer in pairs) else verdicts
        return [Verdict(status="TIMEOUT", level=v.level) for v in moody] or verdicts


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox("SL1", workers=2, limits=Limits(wall_seconds=2.0)) as opened:
        yield opened


@pytest.fixture
def judged(workspace, row, sandbox):
    """``judged(domain, {prompt: answer}, **changes)`` -> summary, accepted prompts, refused prompts with reason and detail."""

    def run_it(domain, answers, output="out", jail=sandbox, **changes):
        workspace.domain, workspace.jail = domain, jail
        tasks = {prompt: domain.task(prompt) for prompt in answers}
        rows = [
            row("1", answer, 0, id=f"r{number}", task=tasks[prompt].id, prompt=prompt, level=tasks[prompt].level)
            for number, (prompt, answer) in enumerate(answers.items())
        ]
        workspace.propose(rows)
        summary = verify(workspace.config(minimum_level="SL1", **changes), workspace.inputs, workspace.context(output))
        folder = workspace.root / output / "accepted"
        assert (folder / PROBE).read_bytes() == canonical({"schema": 1, **summary["probe"]})
        accepted = [found["prompt"] for found in read_table(folder / "rows.parquet", ROWS)]
        refused = read_table(folder / "refused.parquet", DETAILS)
        return summary, accepted, {found["prompt"]: (found["reason"], found["detail"]) for found in refused}

    return run_it


RIGHT = {prompt: answer_of(steps_of(prompt)) for prompt in ("rev", "sort add 1", "uniq add 2 rev drop 1", "cum neg")}


def test_a_sound_verifier_measures_as_one(judged) -> None:
    summary, accepted, refused = judged(Programs(), {**RIGHT, "sq rev": "x=x"}, gold=60)
    assert (accepted, refused) == (list(RIGHT), {"sq rev": ("visible check failed", "visible check 0")})
    gold = summary["probe"]["gold"]
    assert gold["precision"]["value"] == gold["recall"]["value"] == 1.0
    assert gold["false_accept_rate"]["value"] == gold["false_refuse_rate"]["value"] == 0.0
    assert (gold["recall"]["n"], gold["false_accept_rate"]["n"], gold["precision"]["method"]) == (30, 30, "wilson 95%")
    assert gold["recall"]["low"] == pytest.approx(30 / (30 + 1.959964**2), abs=1e-4)  # Wilson's lower end where all are right
    assert gold["misjudged"] == []
    assert summary["probe"]["rerun"] == {"judged": 4, "failed": []}
    assert sum(summary["isolation"].values()) == 5  # gold is nobody's work


def test_the_gold_never_enters_and_may_be_switched_off(judged, workspace) -> None:
    with_gold = judged(Programs(), RIGHT)
    without = judged(Programs(), RIGHT, output="off", gold=0, rerun=0)
    assert without[0]["probe"] == {"gold": None, "rerun": None}
    for name in ("rows.parquet", "refused.parquet", "curriculum.json"):
        one, two = ((workspace.root / output / "accepted" / name).read_bytes() for output in ("out", "off"))
        assert one == two
    assert with_gold[0]["isolation"] == without[0]["isolation"]


def test_a_hole_in_the_verifier_shows(judged) -> None:
    summary, accepted, _ = judged(Lenient(), {**RIGHT, "rev cum": "x=sorted(x)"})
    gold = summary["probe"]["gold"]
    assert 0 < gold["false_accept_rate"]["value"] < 1
    assert gold["precision"]["value"] < 1
    assert len(gold["misjudged"]) == round(gold["false_accept_rate"]["value"] * gold["false_accept_rate"]["n"])
    assert accepted == [*RIGHT, "rev cum"], "what came through is the audit's matter (tests/evaluate/test_audit.py)"


def test_a_verifier_that_takes_nothing_has_no_recall(judged) -> None:
    gold = judged(Harsh(), RIGHT, gold=20)[0]["probe"]["gold"]
    assert (gold["precision"], gold["recall"]["value"], gold["false_refuse_rate"]["value"]) == (None, 0.0, 1.0)
    assert len(gold["misjudged"]) == 10


def test_a_scan_that_refuses_the_innocent_costs_recall(judged, monkeypatch) -> None:
    monkeypatch.setattr("loopwright.verify.judging.scan", lambda sources, _: dict.fromkeys(sources, "name x"))
    summary, accepted, _ = judged(Programs(), RIGHT, gold=20)
    assert (accepted, summary["probe"]["gold"]["recall"]["value"]) == ([], 0.0)


def test_what_is_judged_otherwise_the_second_time_is_refused(judged) -> None:
    summary, accepted, refused = judged(Moody(), {"rev": "x=x[::-1]  #", "cum": RIGHT["cum neg"]})
    assert accepted == []
    assert refused["rev"] == ("not repeatable", "TIMEOUT")
    assert summary["probe"]["rerun"] == {"judged": 1, "failed": ["r0"]}


def test_samples_are_as_large_as_the_plan_says_and_drawn_by_the_seed(judged) -> None:
    probes = [judged(Programs(), RIGHT, output=f"o{n}", rerun=3, gold=9)[0]["probe"] for n in range(2)]
    assert probes[0] == probes[1]
    assert probes[0]["rerun"]["judged"] == 3
    assert (probes[0]["gold"]["recall"]["n"], probes[0]["gold"]["false_accept_rate"]["n"]) == (5, 4)


def test_a_domain_that_offers_nothing_is_measured_by_its_second_word_alone(workspace, row) -> None:
    workspace.propose([row("3 4", "7", 0)])
    summary = verify(workspace.config(), workspace.inputs, workspace.context())
    assert summary["probe"] == {"gold": None, "rerun": {"judged": 1, "failed": []}}
    assert json.loads((workspace.root / "out" / "accepted" / PROBE).read_bytes())["schema"] == 1


def test_the_control_arm_measures_nothing(judged) -> None:
    summary, accepted, _ = judged(Programs(), {"rev": "x=x"}, accept="unsafe_unverified")
    assert (accepted, summary["probe"]) == (["rev"], {"gold": None, "rerun": None})


def test_gold_of_programs_is_true_by_behaviour_and_of_every_level(sandbox) -> None:
    domain = Programs()
    gold = domain.gold(5, 96)
    assert gold == domain.gold(5, 96) != domain.gold(6, 96)
    assert sorted({(task.level, right) for task, _, right in gold}) == [(n, r) for n in range(1, 9) for r in (False, True)]
    for task, answer, right in gold:
        assert (answer == answer_of(steps_of(task.prompt))) is right
    assert len(domain.gold(1, 400)) == 400  # level 1 has not as many tasks


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**53), st.sampled_from(sorted(RIGHT)))
def test_fresh_inputs_are_in_no_check(seed: int, prompt: str) -> None:
    domain = Programs()
    check = domain.fresh(domain.task(prompt), seed)
    known = [*PROBES, *(values for pool in pools(0).values() for values in pool)]
    assert len(check.inputs) == len(check.outputs) == 8
    assert not [values for values in check.inputs if values in known]
    assert list(check.outputs) == [run(steps_of(prompt), values) for values in check.inputs]


def test_gold_of_puzzles_is_judged_as_it_was_made(sandbox) -> None:
    domain = ReasoningGym(entries=60)
    gold = domain.gold(3, 40)
    verdicts = domain.judge([(task, answer) for task, answer, _ in gold], ("visible", "hidden"), sandbox)
    assert [verdict.passed for verdict in verdicts] == [right for _, _, right in gold]
    assert {task.level for task, _, _ in gold} == {1, 2, 3, 4}


@given(st.text("aAbB 12", min_size=1).filter(str.strip), st.randoms(use_true_random=False))
def test_a_perturbed_text_is_another(text, rng) -> None:
    assert "".join(perturbed(text, rng).split()).casefold() != "".join(text.split()).casefold()


def test_what_a_domain_offers() -> None:
    class Wrapped:
        inner = Programs()

    assert [offered(Wrapped(), protocol) for protocol in (Executable, KnowsGold, MakesFresh)] == [Wrapped.inner] * 3
    assert offered(ReasoningGym(), KnowsGold)
    assert offered(ReasoningGym(), Executable) is offered(ReasoningGym(), MakesFresh) is None


class Vain(Programs):
    """A domain that a model judges: it takes the longer answer where it wrote it, so often; else the first."""

    judge_models = ("sha256:" + "7" * 64,)

    def __init__(self, vain: float) -> None:
        super().__init__()
        object.__setattr__(self, "vain", vain)

    def equals(self, seed, count):
        task = self.task("rev")
        return [(task, f"x=x[::-1] # own {place}", "x=x[::-1]") for place in range(count)]

    def prefers_first(self, task, first, second, sandbox):
        own = max(first, second, key=len)
        return first == own if int(own.rpartition(" ")[2]) < self.vain * 200 else True


@pytest.mark.parametrize(("vain", "value"), [(0.0, 0.0), (0.5, 0.25), (1.0, 0.5)])
def test_a_judge_that_likes_its_own_answers_is_seen_and_one_that_likes_the_first_place_is_not_taken_for_it(
    judged, vain: float, value: float
) -> None:
    summary = judged(Vain(vain), RIGHT)[0]
    score = summary["probe"]["self_preference"]
    assert score["value"] == value
    assert -0.5 <= score["low"] <= value <= score["high"] <= 0.5
    assert score["n"] == 200
    assert (score["low"] > 0.10) is (vain >= 0.5), "what the card warns of and stops at is beyond chance"
    assert summary["judge_models"] == list(Vain.judge_models)


def test_a_judge_model_whose_taste_cannot_be_measured_is_refused(judged) -> None:
    class Judging(Programs):
        judge_models = Vain.judge_models

    for domain in (Judging(), type("Empty", (Vain,), {"equals": lambda *_: []})(1.0)):
        with pytest.raises(PlanError, match="preference for their own answers"):
            judged(domain, RIGHT, output=type(domain).__name__)
