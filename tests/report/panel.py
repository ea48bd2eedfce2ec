"""The records that every fact is asked of: a real one, and others in which something else happened."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import polars as pl

from loopwright.ledger.audit import audit
from loopwright.report.facts import catalogue
from loopwright.workspace import Workspace, fork
from tests.report.altered import WHEN, Draft, other, sha256, varied, with_origin
from tests.report.queries import PHASES, Case, Seen, kind, raw

KEY = bytes(range(32))
AGENT = hashlib.sha256(KEY).hexdigest()[:16]
JUDGE, SECOND = sha256("another judge"), sha256("a third judge")
EXTERNAL = {"model": "giant-1", "url": sha256("url"), "digest": sha256("giant-1"), "family": sha256("giants")}
OTHER = {"model": "judge-1", "url": sha256("url"), "digest": sha256("judge-1"), "family": sha256("judges")}


def panel(root: Path, folder: Path) -> list[Case]:
    """The real record at each of its cycles; one that grew richer; one with models of others; one whose last cycle accepted nothing."""
    record = audit(root / "ledger")
    entries = raw(root)
    cases = [
        Case(f"{cycle} as it was", Seen(entries, root, cycle), catalogue(record, root, cycle), record)
        for cycle in ("c0000", "c0001", "c0002")
    ]
    drafts = {change.__name__: Draft(root, folder / change.__name__) for change in (rich, elsewhere, empty)}
    for change in (rich, elsewhere, empty):
        change(drafts[change.__name__])
    asked = [(name, cycle) for name in drafts for cycle in ("c0000", "c0001", "c0002")]
    cases += [drafts[name].case(f"{cycle} of {name}", record, cycle) for name, cycle in asked]
    return [*cases, *(_forked(root, folder / "fork", cycle) for cycle in ("c0000", "c0001"))]


def _forked(root: Path, folder: Path, cycle: str) -> Case:
    """Another loop that goes on after c0001, whose past came along in one entry."""
    if not folder.exists():
        fork(Workspace(root=root), "c0001", folder, {"name": "forked"})
    record = audit(folder / "ledger")
    return Case(f"{cycle} of a fork", Seen(raw(folder), folder, cycle), catalogue(record, folder, cycle), record)


def score(at: str) -> Any:
    """One that no other place has."""
    return other({"value": 0, "low": 0, "high": 0, "n": 100 + len(at), "method": "wilson 95%"}, at)


def rich(draft: Draft) -> None:
    """All that may stand in a record, and every figure another one: a second generation, approvals, failures, recalls, answers."""
    varied(draft)
    draft.entries[0]["predicate"].update(name="other", workspace="w" * 32)
    _second_generation(draft)
    _rows(draft)
    _settings(draft)
    _figures(draft)
    _environments(draft)
    _weights(draft)
    _requests(draft)
    _events(draft)
    draft.answer("system.reference", "REF-7 <b>")
    draft.answer("release.versions", "c0001 and, of another loop, c00002")
    draft.answer("release.eu_date", "2026-03-01")
    draft.answer("model.licence", "Apache-2.0")
    draft.answer("dataset.languages", "German, Sorbian")
    draft.answer("gen.published", "Yes, all of it.")


def _second_generation(draft: Draft) -> None:
    """c0001 was promoted: its model writes the rows of c0002 and gives its weights to it."""
    old, new = (next(out["digest"] for out in draft.said("phase", cycle, "train")["outputs"]) for cycle in ("c0000", "c0001"))
    draft.said("close", "c0001").update(action="promote", champion="c0001")
    draft.said("close", "c0002").update(action="promote", champion="c0002")
    draft.summary("c0001", "decide")["action"] = draft.summary("c0002", "decide")["action"] = "promote"
    draft.said("open", "c0002")["parent"] = "c0001"
    for phase in ("generate", "train"):
        for item in draft.said("phase", "c0002", phase)["inputs"]:
            if item["digest"] == old:
                item.update(digest=new, path="cycles/c0001/model")
    draft.table("cycles/c0002/accepted/rows.parquet", lambda frame: frame.with_columns(origin=pl.lit(new)))


def _rows(draft: Draft) -> None:
    draft.table("cycles/c0000/accepted/rows.parquet", lambda frame: frame.slice(7))
    draft.table("cycles/c0001/accepted/rows.parquet", lambda frame: frame.slice(5))
    draft.table(
        "cycles/c0002/accepted/rows.parquet",
        lambda frame: pl.concat([frame, with_origin(frame.slice(3, 4), "human", "CC0-1.0")]),
    )
    draft.table("cycles/c0002/proposals/tasks.parquet", lambda frame: frame.slice(2))
    draft.table(
        "cycles/c0002/evaluation/gate.parquet",
        lambda frame: frame.with_columns(answer=pl.concat_str([pl.col("answer")] * 9), status=pl.lit("PASS")),
    )
    draft.table(
        "cycles/c0002/evaluation/sealed.parquet", lambda frame: frame.with_columns(answer=pl.concat_str([pl.col("answer")] * 9))
    )
    draft.table("cycles/c0002/accepted/refused.parquet", lambda frame: _refused(draft, frame))
    draft.counted()
    draft.summary("c0000", "seed").update(gate_tasks=280, sealed_tasks=2800)
    draft.summary("c0002", "generate").update(rows=61)


def _refused(draft: Draft, frame: pl.DataFrame) -> pl.DataFrame:
    taken = pl.read_parquet(draft.root / "cycles/c0001/accepted/rows.parquet").head(20)
    return (
        taken.with_columns(reason=pl.lit("hidden check failed"), detail=pl.lit(""))
        .cast(dict(frame.schema))
        .select(frame.columns)
    )


def _settings(draft: Draft) -> None:
    def sources(said: Any) -> Any:
        said["config"]["sources"] = [
            {"origin": "public: Wiki", "licence": "CC-BY-4.0", "path": "sources/wiki.jsonl"},
            {"origin": "Licensed: a press", "licence": "LicenseRef-press", "path": "sources/press.jsonl"},
        ]
        return said

    def refs(said: Any) -> Any:
        said["refs"]["domain"] = {"name": "reasoning", "settings": {"suite_per_level": 9, "depth": 3}}
        said["refs"]["model"] = {"name": "causal", "settings": {"heads": 4, "context": 512}}
        return said

    def exclude(said: Any) -> Any:
        said["config"]["exclude"] = {
            "licences": ["GPL-2.0-only", "CC-BY-SA-4.0"],
            "recall": sha256("recall"),
            "rows": ["a", "b"],
        }
        return said

    draft.json("cycles/c0000/config/seed.json", sources)
    for phase in PHASES[1:]:
        draft.json(f"cycles/c0002/config/{phase}.json", refs)
    draft.json("cycles/c0002/config/verify.json", exclude)


def _figures(draft: Draft) -> None:
    draft.summary("c0002", "verify").update(
        refused={
            "held out": 2, "contaminated": 3, "duplicate in cycle": 5, "near duplicate": 7, "recalled": 11, "illegal content": 13,
            "personal data": 17, "load error": 19,
        },
        isolation={"SL2": 40, "SL3": 8}, canaries={"every": 100, "good": 3, "wrong": 5, "hostile": 7}, unsafe_no_hidden_tests=True,
        accept="verified", probe=_probe(7, 2),
    )  # fmt: skip
    draft.summary("c0001", "verify")["refused"] = {"held out": 4, "schema": 6}
    draft.summary("c0000", "seed")["unsafe_no_hidden_tests"] = True
    draft.summary("c0000", "seed")["refused"] = {"held out": 8, "not a row": 1}
    figures = draft.summary("c0002", "examine")["figures"]
    figures.update({name: score(name) for name, one in figures.items() if one is None})
    draft.summary("c0002", "decide")["reasons"] = ["a reason", "<b>another</b>"]


def _probe(judged: int, failed: int) -> Any:
    keys = ("precision", "recall", "false_accept_rate", "false_refuse_rate")
    gold = {**{key: score(f"{key} {judged}") for key in keys}, "misjudged": []}
    return {"gold": gold, "rerun": {"judged": judged, "failed": [f"row {number}" for number in range(failed)]}}


def _environments(draft: Draft) -> None:
    for said in draft.phases():
        if said["cycle"] == "c0002":
            told = said["environment"]
            told.update(cpu=f"aarch64 of {said['phase'][:1]}", python="3.12.1", executor="ray", container=sha256("image"))
            told["packages"] = {
                name: sha256(f"{name} anew") if "models" in name else digest for name, digest in told["packages"].items()
            }
    for cycle, said in (
        ("c0001", {"generator": sha256("generator 2"), "judge": JUDGE}),
        ("c0002", {"judge": SECOND, "flows": sha256("flows 2")}),
    ):
        draft.said("open", cycle)["code"].update(said)
    draft.said("open", "c0002").update(
        lock=sha256("lock"), envelope=sha256("envelope"), policy=sha256("policy"), launchers=draft.persons[1:]
    )


def _weights(draft: Draft) -> None:
    """Half precision for one tensor, a larger alphabet, an accelerator, and first weights of somebody else."""
    path = "cycles/c0002/model/model.safetensors"
    draft.write(path, (draft.root / path).read_bytes().replace(b'"F32"', b'"F16"', 1) + bytes(40))
    draft.json(
        "cycles/c0002/model/model.json", lambda said: {**said, "alphabet": {**said["alphabet"], "more": ["p", "q"], "size": 9}}
    )
    draft.summary("c0002", "train")["compute"]["updates"][0]["device"] = {"kind": "cuda", "name": "H100", "count": 2}
    draft.summary("c0002", "train").update(parameters=7_000_000_000, parameters_active=3_000_000_000, tokens=2_000_000_000)
    draft.summary("c0000", "train")["compute"]["base"] = {"name": "somebody's", "digest": sha256("base")}
    draft.said("phase", "c0002", "train")["finished_at"] = "2027-03-01T00:00:00.000Z"


def asked(draft: Draft, action: str, subject: str, signer: str, before: str, **about: str) -> int:
    """A request that two persons approved and that was carried out: the place of its execution."""
    digest = subject if subject.startswith("sha256:") else sha256(subject)
    told = {"action": action, "details": about, "requested_at": WHEN}
    request = draft.request(draft.entry("request", told, (action, digest), signer=signer, before=before))
    said = {"request": request, "answer": "approve", "answered_at": WHEN}
    given = [draft.entry("approval", said, signer=person, before=before) for person in draft.persons[1:]]
    done = {"request": request, "action": action, "approvals": given, "executed_at": WHEN, **about}
    return draft.entry("execute", done, (action, digest), signer=draft.entries[0]["keyid"], before=before)


def _requests(draft: Draft) -> None:
    """The first other judge was agreed to and the second was not; a person's recipe, and an agent's."""
    agent = {
        "id": AGENT, "role": "agent", "kind": "agent", "public_key": base64.b64encode(KEY).decode(), "custody": "file",
        "owner": draft.persons[0], "model": sha256("agent"),
    }  # fmt: skip
    draft.entries[0]["predicate"]["principals"].append(agent)
    asked(draft, "judge", JUDGE, draft.persons[0], "c0001")
    for cycle, author in (("c0001", draft.persons[0]), ("c0002", AGENT)):
        done = asked(draft, "recipe", f"recipe of {cycle}", author, cycle)
        draft.said("open", cycle)["recipe"] = {
            "path": f"recipes/{cycle}.diff",
            "digest": sha256(f"recipe of {cycle}"),
            "approval": done,
        }
    asked(draft, "judge", JUDGE, draft.persons[0], "")  # again, when it was long in force
    for action in ("policy", "envelope", "admission", "resume"):
        told = {"action": action, "details": {}, "requested_at": WHEN}
        request = draft.request(draft.entry("request", told, (action, sha256(action))))
        draft.entry("approval", {"request": request, "answer": "veto", "answered_at": WHEN}, signer=draft.persons[1])


def _events(draft: Draft) -> None:
    for cycle, phase in (("c0001", "train"), ("c0002", "evaluate"), ("c0002", "train")):
        draft.entry(
            "failure",
            {
                "cycle": cycle,
                "phase": phase,
                "key": "k",
                "attempt": 1,
                "error": "InfraError",
                "message": f"<i>{phase}",
                "failed_at": WHEN,
            },
        )
    model = draft.said("phase", "c0002", "train")["outputs"][0]["digest"]
    signed = {
        "cycle": "c0002",
        "file": "cycles/c0002/model.sig",
        "digest": sha256("sig"),
        "algorithm": "ecdsa",
        "signed_at": WHEN,
    }
    draft.entry("signature", {**signed, "public_key": "p"}, ("model", model))
    verdicts = [{"verdict": word} for word in ("identical", "identical", "within", "different")]
    draft.entry("reproduction", {"cycle": "c0001", "reproduced_at": WHEN, "outcomes": verdicts, "environment": {}})
    bad = next(out["digest"] for out in draft.said("phase", "c0001", "verify")["outputs"] if out["kind"] == "accepted")
    draft.entry("recall", {"artifact": bad, "reason": "poison", "tainted": [bad], "recalled_at": WHEN})


def elsewhere(draft: Draft) -> None:
    """A model of somebody else wrote the rows of two cycles, and another one judged the last ones."""
    draft.summary("c0001", "generate").update(external=EXTERNAL)
    draft.summary("c0002", "generate").update(external=EXTERNAL, rows=70)
    draft.summary("c0002", "verify").update(
        accept="verified", judge=OTHER, judge_models=[OTHER["digest"], OTHER["family"]], probe=_probe(9, 1), isolation={"SL1": 5, "SL3": 48},
        refused={"duplicate": 9, "recalled": 2, "illegal content": 1, "personal data": 2}, recipe={"accepted": True}, scanned=31,
    )  # fmt: skip
    for cycle in ("c0001", "c0002"):
        draft.table(
            f"cycles/{cycle}/accepted/rows.parquet",
            lambda frame: with_origin(frame.slice(4), EXTERNAL["digest"], "LicenseRef-giant"),
        )
    draft.counted()

    def sources(said: Any) -> Any:
        given = [
            ("crawled: the web", "none"),
            ("other: a drawer", "CC0-1.0"),
            ("user: chats", "none"),
            ("private: a firm", "LicenseRef-firm"),
        ]
        said["config"]["sources"] = [
            {"origin": origin, "licence": licence, "path": f"sources/{licence}.jsonl"} for origin, licence in given
        ]
        return said

    def refs(said: Any) -> Any:
        said["refs"]["model"] = {"name": "causal", "settings": {"context": 4096}}
        said["config"].update(exclude={"licences": [], "recall": None, "rows": ["c"]})
        return said

    def more(said: Any) -> Any:
        there = {"url": "https://inside.example/v1/", "model": "giant-1", "key_file": "giant.key", "price": {"input": 1.5}}
        said["config"].update(
            max_new_tokens=999, floor=0.5, human_floor=0.25, memory_mib=1024, endpoint=there, judge={"endpoint": there}
        )
        return said

    draft.json("cycles/c0000/config/seed.json", sources)
    for phase in ("generate", "verify", "train"):
        draft.json(f"cycles/c0002/config/{phase}.json", more)
        draft.json(f"cycles/c0002/config/{phase}.json", refs)
    draft.summary("c0002", "examine")["figures"].update(
        {name: score(f"other {name}") for name in ("gate_precision", "proxy_gold_gap")}
    )
    draft.summary("c0002", "decide")["unsafe_only_say"] = False
    draft.said("phase", "c0002", "train")["environment"]["container"] = sha256("another image")
    draft.entries = [one for one in draft.entries if not (kind(one) == "close" and one["predicate"]["cycle"] == "c0002")]
    draft.summary("c0002", "train").update(parameters=600_000_000, tokens=20_000_000_000_000)
    began = draft.said("phase", "c0002", "train")
    began["finished_at"] = "2027-01-20T00:00:00.000Z"
    began["summary"]["workers"] = 3
    del began["environment"]["train_workers"]  # as the first versions wrote it
    began["inputs"] = [item for item in began["inputs"] if item["name"] != "model"]
    held = next(out["digest"] for out in draft.said("phase", "c0001", "train")["outputs"])
    draft.said("close", "c0001")["action"] = "hold"
    asked(draft, "promote", held, draft.persons[0], "c0002", cycle="c0001")
    done = asked(draft, "recipe", "recipe", draft.persons[2], "c0002")
    draft.said("open", "c0002")["recipe"] = {"path": "recipes/r.diff", "digest": sha256("recipe"), "approval": done}
    draft.answer("release.versions", "c0000")
    draft.answer("release.licence", "MIT")
    draft.answer("dataset.languages", "English")
    draft.answer("gen.published", "no")
    draft.answer("system.reference", "About this cycle", about="c0002")
    draft.answer("system.reference", "about the loop")


def empty(draft: Draft) -> None:
    """No row was accepted, twice: the first time a recipe was, and was learnt from; then nothing was."""
    gone = {"train", "evaluate"}
    draft.entries = [
        one for one in draft.entries if not (one["predicate"].get("cycle") == "c0002" and one["predicate"].get("phase") in gone)
    ]
    for cycle in ("c0001", "c0002"):
        draft.table(f"cycles/{cycle}/accepted/rows.parquet", lambda frame: frame.head(0))
    draft.counted()
    draft.summary("c0002", "verify").update(refused={"load error": 48}, scanned=12)
    draft.json("cycles/c0000/config/seed.json", lambda said: {**said, "config": {**said["config"], "sources": []}})
    said = draft.said("phase", "c0002", "examine")
    said["inputs"] = [item for item in said["inputs"] if item["name"] not in {"first", "model", "evaluation"}]
    said["summary"].update(figures={}, slices={}, stress={}, isolation={"SL3": 9, "data": 4})
