"""What the entries might have said instead: each variant is a copy of a record with one kind of change in it, and files to match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from loopwright.ledger.audit import Finding
from tests.report.asking import Log, closed, entry, of, opened
from tests.report.rewriting import files, fresh, more, moved, refile, reword, say
from tests.report.test_facts import kind

Change = Callable[[Log], None]


def altered(whole: Log, told: Log, folder: Path) -> dict[str, Log]:
    """By name; ``whole`` is the real loop with all acts of persons, ``told`` a longer one without files."""
    own, last = files(whole, folder / "own"), lambda name: of(whole, name)[-1]["leaf"]
    return {
        "promoted": whole.upto(last("rollback")),  # persons had just made c0001's model the champion
        "incident open": whole.upto(last("incident")).altered(of_another_kind),
        "unreported": whole.upto(last("incident")),
        "nothing accepted": whole.altered(nothing),
        "near miss": whole.altered(incident=of(whole, "incident")[0]["predicate"]["incident"]),
        "unanswered": whole.upto(last("request")),
        "about c0001": whole.altered(cycle="c0001"),
        "about c0000": whole.altered(cycle="c0000"),
        "about an older one": told.altered(cycle="c0001"),
        "again": whole.altered(again),
        "a fork": whole.altered(forked),
        "grown": whole.altered(grown),
        "later": whole.altered(later),
        "other keys": whole.altered(other_keys),
        "decided": whole.altered(decided),
        "pinned": whole.altered(pinned),
        "refiled": whole.altered(lambda log: refiled(log, files(whole, folder / "refiled")), root=folder / "refiled"),
        "enveloped": whole.altered(lambda log: enveloped(log, files(whole, folder / "enveloped")), root=folder / "enveloped"),
        "metered": whole.altered(metered("measured", kg_co2e=0.25)),
        "estimated": told.altered(metered("estimated", kg_co2e=None)),
        "foreign": whole.altered(foreign),
        "anew": whole.altered(anew, lambda log: published(log, say(own, "Yes.")), root=own),
        "nowhere": whole.altered(nowhere),
        "elsewhere": whole.altered(elsewhere),
        "watched": whole.altered(findings=(Finding(code="order", where="ledger entry 3", message="twice"),), notes=cosigned(whole), root=stamped(own)),
        "another law": whole.altered(root=lawful(files(whole, folder / "law"))),
        "without end": told.altered(unclosed),
    }  # fmt: skip


def grown(log: Log) -> None:
    for each in of(log, "phase"):
        said = each["predicate"]
        said["summary"], said["seconds"] = more(said["summary"]), said["seconds"] + each["leaf"]
    for each in of(log, "observation", "anchor"):
        each["predicate"].update({key: more(value) for key, value in each["predicate"].items()})


def again(log: Log) -> None:
    """Training and evaluation were done twice; the last attempt counts."""
    for phase in ("train", "evaluate"):
        first = entry(log, phase)
        assert first is not None
        second = json.loads(json.dumps(first))
        second["predicate"].update(
            attempt=2,
            summary=more(first["predicate"]["summary"]),
            started_at=moved(first["predicate"]["started_at"], seconds=1),
        )
        log.insert(log.index(first) + 1, second)


def forked(log: Log) -> None:
    """The first two cycles were brought along from another workspace."""
    end = closed(log, "c0001")
    assert end is not None
    past, same = (
        log[1 : end["leaf"] + 1],
        ("cycle", "parent", "prev", "seed", "plan", "code", "lock", "commit", "recipe", "opened_at"),
    )
    cycles, artifacts = [], []
    for name in ("c0000", "c0001"):
        said = [each["predicate"] for each in past if kind(each) == "phase" and each["predicate"]["cycle"] == name]
        last = closed(log, name)["predicate"]  # type: ignore[index]
        gone = {"cycle", "config", "outputs", "code", "lock", "event"}
        phases = [{key: value for key, value in one.items() if key not in gone} for one in said]
        told = {key: opened(log, name)["predicate"][key] for key in same}
        cycles.append(
            {**told, "closed_at": last["closed_at"], "action": last["action"], "champion": last["champion"], "phases": phases}
        )
        artifacts += [{**out, "cycle": name, "phase": one["phase"]} for one in said for out in one["outputs"]]
    told = {
        "cycles": cycles,
        "champion": end["predicate"]["champion"],
        "last": "c0001",
        "artifacts": artifacts,
        "event": "import:0",
    }
    log[1 : end["leaf"] + 1] = [{**end, "predicateType": "urn:loopwright:import:v1", "predicate": told}]


def later(log: Log) -> None:
    """Each entry three hours after the one before it, but for one that goes back; persons look at evidence for longer."""
    for each in log:
        said, back = each["predicate"], -50 if kind(each) == "reveal" else 0
        for name in [one for one in said if one.endswith("_at") and isinstance(said[one], str)]:
            said[name] = moved(said[name], hours=3 * each["leaf"] + back, minutes=-7 if name == "opened_at" else 0)


def other_keys(log: Log) -> None:
    """Held by persons and not for a demonstration, in another workspace."""
    import base64

    words = {}
    for one in [*log[0]["predicate"]["principals"], *(each["predicate"]["principal"] for each in of(log, "enrol", "rotate"))]:
        public = base64.b64decode(one["public_key"])[::-1]
        words[one["public_key"]] = base64.b64encode(public).decode()
        words[one["id"]] = hashlib.sha256(public).hexdigest()[:16]
    reword(log, words | {'"kind": "demo"': '"kind": "person"', '"duties": ["owner"]': '"duties": ["owner", "legal"]'})
    reword(log, {log[0]["predicate"]["workspace"]: "another"})
    log[0]["predicate"].update(demo=False, name="another")


def decided(log: Log) -> None:
    """The second cycle halted the loop, the third was promoted, and every lamp says something else."""
    turn = {"fine": "warn", "warn": "stop", "stop": "not measured", "not measured": "fine"}
    for cycle, action in (("c0001", "halt"), ("c0002", "promote")):
        said = entry(log, "decide", cycle)["predicate"]["summary"]  # type: ignore[index]
        said.update(action=action, reasons=["another", "reason"], alpha=0.25, p_value=0.125, spent=0.5, look=7)
        said["lights"] = {name: turn[state] for name, state in said["lights"].items()}
        closed(log, cycle)["predicate"].update(action=action)  # type: ignore[index]
    closed(log, "c0002")["predicate"].update(champion="c0002")  # type: ignore[index]
    figures = entry(log, "examine")["predicate"]["summary"]["figures"]  # type: ignore[index]
    figures["self_preference"] = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8, "method": "wilson 95%"}


def nothing(log: Log) -> None:
    """The cycle had no row to train on."""
    gone = [entry(log, phase) for phase in ("train", "evaluate", "examine")]
    log[:] = [each for each in log if each not in gone]
    said = {
        "action": "reject",
        "reasons": ["zero accepted rows"],
        "gain": None,
        "p_value": None,
        "alpha": None,
        "look": 1,
        "spent": 0.0,
        "lights": {},
    }
    entry(log, "decide")["predicate"].update(summary=said, inputs=[])  # type: ignore[index]


def pinned(log: Log) -> None:
    """Another judge, environment, plan and policy, limits, duties, and a recipe that an agent asked for."""
    said = opened(log)["predicate"]
    said["code"]["judge"], said["lock"], said["plan"] = fresh("judge"), fresh("lock"), fresh("plan")
    said.update(policy=fresh("policy"), budgets={"energy_kwh": 2.5, "hours": 3}, opened_at=moved(said["opened_at"], seconds=1))
    said["approvals"].update(ordinary={"persons": 2, "duties": ["owner"]})
    said["retention"] = [{"cycle": "c0000", "placed_on_market": "2026-01-31", "years": 10}]
    for one in (*log[0]["predicate"]["principals"], *(each["predicate"]["principal"] for each in of(log, "rotate"))):
        if one["role"] == "person" and one.get("duties") in (["owner"], ["safety"]):
            one["person"] = fresh("one person")  # who has two keys
    asked = of(log, "request")[-1]
    agent = of(log, "enrol")[0]["predicate"]["principal"]["id"]
    asked.update(
        keyid=agent, subject=[{"annotations": {"kind": "recipe"}, "digest": {"sha256": "cd" * 32}, "name": "recipes/more.diff"}]
    )
    asked["predicate"]["quorum"] = {"persons": 2, "duties": ["owner", "safety"]}
    said["recipe"] = {"path": "recipes/more.diff", "digest": "sha256:" + "cd" * 32, "approval": None}
    entry(log, "verify")["predicate"]["summary"]["judge_models"] = []  # type: ignore[index]


def refiled(log: Log, root: Path) -> None:
    refile(log, root, "config/decide.json", other_policy)
    refile(log, root, "decision.json", other_numbers)


def other_policy(told: Any) -> Any:
    card = {name: more(rule) for name, rule in told["config"]["card"].items()}
    gap = {"model": fresh("seen"), "value": 0.25, "low": 0.125, "high": 0.5, "n": 40, "leaf": 3}
    return {
        **told,
        "config": {
            **more(told["config"]),
            "card": {**card, "vendi": {"bad": "below", "stop": None, "warn": 0.1}},
            "field": gap,
        },
    }


def other_numbers(told: Any) -> Any:
    said = {
        "p_value": 0.001,
        "alpha": 0.01,
        "gain": more(told["gain"]),
        "retention": None,
        "look": 99,
        "policy": fresh("another policy"),
    }
    reasons = [
        "slice level=4: -30.0 points on 9 paired tasks",
        "gate score 1.0 is below the best so far",
        "over 3 and 3 training seeds",
    ]
    return {**told, **said, "reasons": reasons, "test": "another test"}


def enveloped(log: Log, root: Path) -> None:
    """The last two cycles opened under envelopes, of which persons signed the second; the decision says what was left."""
    [asked] = [each for each in of(log, "request") if each["predicate"]["action"] == "envelope"]
    signed = "sha256:" + asked["subject"][0]["digest"]["sha256"]
    rules = yaml.safe_load((log.root / "envelope.yaml").read_text())["envelope"]
    rules["performance"] = {"gate": {"low": 0.0}, "slice:level=4": {"low": 0.5, "high": 0.75}}
    settings = {
        **{name: value for name, value in rules["must_stay"].items() if not name.startswith("recipe.")},
        "generator.temperature": 0.8,
    }
    force = {
        "digest": signed,
        "envelope": rules,
        "settings": settings,
        "sources": ["a test"],
        "generation": 1,
        "promote_inside": "person",
    }

    def under(told: Any) -> Any:
        told["config"]["envelope"] = force
        return told

    refile(log, root, "config/decide.json", under)
    left = [
        "envelope: must_stay generator.samples: 2 instead of 3",
        "envelope: origins: a test is not foreseen",
        "envelope: a rule of another kind",
    ]
    said = {"digest": signed, "inside": False, "left": left, "stops": ["stop rule real_cross_entropy: 2 above 1.05"]}
    entry(log, "decide")["predicate"]["summary"]["envelope"] = said  # type: ignore[index]
    entry(log, "decide", "c0001")["predicate"]["summary"]["envelope"] = {**said, "inside": True, "left": [], "stops": []}  # type: ignore[index]
    opened(log, "c0001")["predicate"]["envelope"], opened(log)["predicate"]["envelope"] = fresh("first"), signed


def metered(how: str, kg_co2e: float | None) -> Change:
    """Every phase drew something; one of them by another way."""

    def change(log: Log) -> None:
        for place, each in enumerate(of(log, "phase", "failure")):
            told = {
                "how": how if place else "partly measured",
                "kwh": 0.5 + place,
                "measured_kwh": 0.25,
                "tool": "a meter",
                "boundary": "the host",
            }
            told["parts"] = {"cpu": {"kwh": 0.5, "source": f"source {place % 2}"}}
            told |= {"kg_co2e": kg_co2e} if kg_co2e else {}
            (each["predicate"]["environment"] if kind(each) == "phase" else each["predicate"])["energy"] = told

    return change


def training(log: Log, cycle: str) -> dict[str, Any]:
    return entry(log, "train", cycle)["predicate"]  # type: ignore[index,no-any-return]


def foreign(log: Log) -> None:
    """The first model began with weights of somebody else, of which a part was trained, on an accelerator, with a twin."""
    said = training(log, "c0000")["summary"]["compute"]
    said["base"] = {"name": "=somebody's", "digest": fresh("base"), "flop": 4e9, "systemic": False}
    for one in said["updates"]:
        one["trained"] //= 2
        one["device"] = {"kind": "cuda", "name": "NVIDIA H100 80GB HBM3", "count": 8, "seconds": 7.5, "busy": 0.25}
    training(log, "c0002")["summary"]["compute"]["updates"] *= 2


def anew(log: Log) -> None:
    """Each model began from nothing, one with an unknown device; an attempt failed."""
    for cycle in ("c0001", "c0002"):
        said = training(log, cycle)
        said["inputs"] = [one for one in said["inputs"] if one["name"] != "model"]
    training(log, "c0002")["summary"]["compute"]["updates"][0]["device"].pop("mhz")
    failed = {name: training(log, "c0001")[name] for name in ("cycle", "phase", "key", "attempt", "started_at")}
    failed |= {"event": "x", "error": "InfraError", "message": "no space", "failed_at": moved(failed["started_at"], seconds=90)}
    place = entry(log, "train", "c0001")["leaf"]  # type: ignore[index]
    log.insert(place, {**log[place], "predicateType": "urn:loopwright:failure:v1", "predicate": failed})


def nowhere(log: Log) -> None:
    """Persons said that the model is not placed on a market, and the champion was another one at the second halt."""
    for each, field in zip(of(log, "answer"), ("release.eu_date", "release.date"), strict=False):
        each["predicate"].update(field=field, state="not-applicable")
    del log[of(log, "rollback")[-1]["leaf"]]


def elsewhere(log: Log) -> None:
    """A model elsewhere wrote in the champion's place, and another one judged."""
    said = entry(log, "generate")["predicate"]["summary"]  # type: ignore[index]
    said["external"] = {"model": "m", "url": fresh("url"), "digest": fresh("writer"), "family": fresh("family")}
    entry(log, "verify")["predicate"]["summary"].update(judge_models=[fresh("judge")], cost={"tokens_in": 7, "tokens_out": 5})  # type: ignore[index]


def published(log: Log, words: str) -> None:
    """A person said that the synthetic data can be had by everybody."""
    of(log, "answer")[0]["predicate"].update(field="gen.published", digest=words)


def of_another_kind(log: Log) -> None:
    """Of a high-risk system, of a class that nobody has chosen, and over."""
    first, *_ = [each for each in of(log, "incident") if each["predicate"]["act"] == "open"][1:]
    facts = first["predicate"]["facts"]
    del facts["harm"]
    facts.update(kind="art73", model=opened_model(log, "c0001"), resolved_at="2026-01-09T00:00:00Z", imminent_danger=False)
    freeze = of(log, "freeze")[0]["leaf"]
    log.insert(freeze + 1, log.pop(first["leaf"]))  # it was told before the freeze was lifted


def opened_model(log: Log, cycle: str) -> str:
    return str(training(log, cycle)["outputs"][0]["digest"])


def cosigned(log: Log) -> dict[int, str]:
    """Two witnesses' lines below the newest checkpoint, one below the first."""
    import base64

    line = "\u2014 {} " + base64.b64encode(bytes(76)).decode() + "\n"
    names = {max(log.notes): ("one.example", "two.example"), min(log.notes): ("one.example",)}
    return {size: text + "".join(map(line.format, names.get(size, ()))) for size, text in log.notes.items()}


def stamped(root: Path) -> Path:
    (root / "ledger/timestamps").mkdir(parents=True)
    for size in (9, 27, 9999):
        (root / f"ledger/timestamps/{size}.tsr").write_bytes(b"")
    return root


def lawful(root: Path) -> Path:
    """Every length of time of the law is one more."""
    shipped = Path(__file__).parents[2] / "reports/law.yaml"
    law = yaml.safe_load(shipped.read_text("utf-8"))
    for one in (*(row["keep"] for row in law["retention"]), *law["clocks"]):
        one.update(
            {unit: one[unit] + 1 for unit in ("hours", "days", "business_days", "weeks", "months", "years") if one.get(unit)}
        )
    law["state"] = str(law["state"])
    for row in (*law["application"], *law["due"].values()):
        if row.get("date"):
            row["date"] = str(row["date"])
    (root / "reports").mkdir(exist_ok=True)
    (root / "reports/law.yaml").write_text(yaml.safe_dump(law, allow_unicode=True), encoding="utf-8")
    return root


def unclosed(log: Log) -> None:
    """The last cycle began after a halt, and is open still."""
    del log[of(log, "close")[-1]["leaf"]], log[of(log, "failure")[-1]["leaf"]]
    at, begin = next((place, each) for place, each in enumerate(log) if each is of(log, "open")[-1])
    said = {"reason": "a test", "halted_at": moved(begin["predicate"]["opened_at"], seconds=-5), "event": "halted"}
    log.insert(at, {**begin, "predicateType": "urn:loopwright:halt:v1", "predicate": said})
