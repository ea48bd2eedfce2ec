"""What persons did, fact by fact, against questions to the entries: requests and answers, interventions."""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter
from typing import Any

from tests.report.asking import (
    Log,
    Query,
    between,
    entry,
    identity,
    maker,
    of,
    opened,
    share,
    table,
    told,
    when,
)  # fmt: skip
from tests.report.records import Records
from tests.report.test_facts import Entry, kind
from tests.report.test_facts_log import principals, promoted


def request_of(log: Log, each: Entry) -> Entry:
    """What an answer or an execution is about."""
    return next(one for one in of(log, "request") if identity(one) == each["predicate"]["request"])


def answers(log: Log, asked: Entry) -> list[Entry]:
    return [each for each in of(log, "approval") if each["predicate"].get("request") == identity(asked)]


def executed(log: Log, asked: Entry) -> int | None:
    return next((each["leaf"] for each in of(log, "execute") if each["predicate"]["request"] == identity(asked)), None)


def planted(log: Log, asked: Entry) -> bool:
    """Was it revealed, with the salt that opens its commitment as a planted one?"""
    salts = [each["predicate"]["salt"] for each in of(log, "reveal") if each["predicate"]["request"] == identity(asked)]
    wanted = asked["predicate"].get("commitment")
    return any(hashlib.sha256(f"loopwright request/{salt}/canary".encode()).hexdigest() == wanted for salt in salts)


def state(log: Log, asked: Entry) -> str:
    if executed(log, asked) is not None:
        return "carried out"
    if planted(log, asked):
        return "planted"
    return "vetoed" if any(each["predicate"]["answer"] == "veto" for each in answers(log, asked)) else "open"


def about(log: Log, asked: Entry) -> str | None:
    """The cycle that a request names, or whose model it is about."""
    named = asked["predicate"]["details"].get("cycle")
    return named or next((made for one in asked["subject"] if (made := maker(log, f"sha256:{one['digest']['sha256']}"))), None)


def duties(log: Log, key: str) -> str:
    holder = next(one for one in principals(log) if one["id"] == key)
    note = " (demonstration key, not a person)" if holder["kind"] == "demo" else ""
    return ", ".join(holder.get("duties", ())) + note


def looked(each: Entry) -> float | None:
    """Seconds between opening the evidence and signing."""
    begin = each["predicate"].get("opened_at")
    seconds = between(begin, each["predicate"]["answered_at"]) if begin else None
    return seconds if seconds is not None and seconds >= 0 else None


def said(log: Log) -> list[tuple[Entry, Entry]]:
    """Every request with each of its answers."""
    return [(asked, each) for asked in of(log, "request") for each in answers(log, asked)]


def approvals(log: Log) -> list[list[Any]]:
    return [
        [
            asked["leaf"], asked["predicate"]["action"], each["keyid"], duties(log, each["keyid"]), each["predicate"]["answered_at"], looked(each),
            each["predicate"]["answer"], about(log, asked), each["leaf"],
        ]
        for asked, each in said(log)
    ]  # fmt: skip


def requests(log: Log) -> dict[str, Any]:
    rows = []
    for each in of(log, "request"):
        told, quorum = each["predicate"], each["predicate"]["quorum"]
        wanted = f"{quorum['persons']} {', '.join(quorum['duties'])}".strip()
        rows.append(
            (each["leaf"], told["action"], each["keyid"], wanted, state(log, each), len(told["evidence"]), told["requested_at"])
        )
    return table("leaf action proposer quorum state evidence time", rows)


def promotions(log: Log) -> dict[str, Any]:
    """Of each promoted cycle the persons (several keys of one are one) who approved its promotion, and who did not; planted requests apart."""
    who = {one["id"]: one.get("person") or one["id"] for one in principals(log)}
    rows = []
    for name in promoted(log):
        decision = entry(log, "decide", name)
        mine = [
            one
            for one in of(log, "request")
            if one["predicate"]["action"] == "promote" and about(log, one) == name and not planted(log, one)
        ]
        both = {
            word: [each["keyid"] for one in mine for each in answers(log, one) if each["predicate"]["answer"] == word]
            for word in ("approve", "veto")
        }
        evidence = [one["digest"] for one in decision["predicate"]["inputs"] if one["name"] in {"evaluation", "card"}]
        persons = len({who[key] for key in both["approve"]})
        rows.append((name, decision["leaf"], persons, ", ".join(both["approve"]), len(both["veto"]), evidence))
    return table("cycle leaf persons keys dissent evidence", rows)


def revoked(log: Log, key: str) -> int | None:
    ends = [
        (each["predicate"].get("old") or each["predicate"]["principal"], each["leaf"]) for each in of(log, "rotate", "revoke")
    ]
    return next((leaf for old, leaf in ends if old == key), None)


def people(log: Log) -> dict[str, Any]:
    signed = Counter(each["keyid"] for each in log)
    rows = [
        (one["id"], one["kind"], duties(log, one["id"]), one["custody"], signed[one["id"]], revoked(log, one["id"]))
        for one in principals(log)
        if one["role"] == "person"
    ]
    return table("key kind duties custody entries revoked", rows)


def seconds(log: Log) -> dict[str, Any] | None:
    found = sorted(spent for _, each in said(log) if (spent := looked(each)) is not None)
    return (
        {
            "value": statistics.median(found),
            "low": found[0],
            "high": found[-1],
            "n": len(found),
            "method": "median, least and greatest",
        }
        if found
        else None
    )


SIGN: dict[str, Query] = {
    "sign.approvals": lambda log: table("request action key duties time seconds decision cycle leaf", approvals(log)),
    "sign.promotions": promotions,
    "sign.requests": requests,
    "sign.people": people,
    "sign.demo_note": lambda log: "demonstration key, not a person" if any(one["kind"] == "demo" for one in principals(log)) else None,
    "sign.seconds_with_evidence": seconds,
    "sign.share_approved": lambda log: share([each["predicate"]["answer"] == "approve" for asked, each in said(log) if not planted(log, asked)]),
    "sign.canary_catch": lambda log: share([each["predicate"]["answer"] == "veto" for asked, each in said(log) if planted(log, asked)]),
    "sign.dissent": lambda log: sum(each["predicate"]["answer"] == "veto" for asked, each in said(log) if not planted(log, asked)),
    "sign.answers": lambda log: table(
        "field about version time signer state digest leaf", told(log, "answer", "field", "about", "version", "answered_at", "keyid", "state", "digest", "leaf")
    ),
    "sign.gate_key": lambda log: found["keyid"] if (found := entry(log, "decide")) else None,
    "sign.evaluation_keys": lambda log: table("phase leaf signer finished_at digest", [
        (phase, found["leaf"], found["keyid"], found["predicate"]["finished_at"], found["predicate"]["outputs"][0]["digest"])
        for phase in ("evaluate", "examine", "decide") if (found := entry(log, phase))
    ]),
}  # fmt: skip


def ended(log: Log, act: Entry, action: str) -> int | None:
    """The first executed request after an act that ends acts of its kind."""
    return next(
        (each["leaf"] for each in of(log, "execute") if each["predicate"]["action"] == action and each["leaf"] > act["leaf"]),
        None,
    )


def acted(word: str, ends: str) -> Query:
    return lambda log: table(
        "leaf time reason signer ended",
        [
            (each["leaf"], when(each), each["predicate"]["reason"], each["keyid"], ended(log, each, ends))
            for each in of(log, word)
        ],
    )


def vetoes(log: Log) -> list[list[Any]]:
    """Answers that refused, in the order of the requests; a planted request is no act on the loop."""
    return [
        [
            each["leaf"],
            each["predicate"]["answered_at"],
            asked["predicate"]["action"],
            each["keyid"],
            duties(log, each["keyid"]),
            about(log, asked),
        ]
        for asked, each in said(log)
        if each["predicate"]["answer"] == "veto" and not planted(log, asked)
    ]


def reached(log: Log, tainted: list[str]) -> int:
    """Outputs that were made from these digests, or that are them; accounts that are carried on apart."""
    bad = set[tuple[str, str]]()
    for each in of(log, "phase"):
        told = each["predicate"]
        pins = opened(log, told["cycle"])["predicate"]
        named = {"seed": ("generator", "judge"), "generate": ("generator",), "train": ("generator",)}.get(
            told["phase"], ("judge",)
        )
        stands = {pins["lock"], pins["plan"], pins["code"]["flows"], *(pins["code"][name] for name in named)}
        used = [
            one for one in told["inputs"] if (told["phase"], one["name"]) not in {("decide", "decision"), ("examine", "card")}
        ]
        spoilt = any(one["digest"] in tainted or (one["path"], one["digest"]) in bad for one in used) or bool(
            stands & set(tainted)
        )
        mine = [one for one in told["outputs"] if spoilt or one["digest"] in tainted]
        mine += [
            one for one in told["outputs"] if one["kind"] == "archive" and any(other["kind"] == "accepted" for other in mine)
        ]
        bad |= {(one["path"], one["digest"]) for one in mine}
    return len(bad)


def recalls(log: Log) -> list[list[Any]]:
    keys = ("leaf", "recalled_at", "artifact", "reason", "keyid", "tainted")
    return [[*row[:5], reached(log, row[5])] for row in told(log, "recall", *keys)]


def interventions(log: Log) -> list[list[Any]]:
    rows = [
        [leaf, "abandoned", at, why, key, champion]
        for leaf, at, why, key, champion in told(log, "close", "leaf", "closed_at", "abandoned", "keyid", "champion")
        if why is not None
    ]
    for word, ends, done in (("halt", "resume", "resumed"), ("freeze", "unfreeze", "lifted")):
        still = {"halt": "halted", "freeze": "frozen"}[word]
        rows += [
            [
                each["leaf"],
                word,
                when(each),
                each["predicate"]["reason"],
                each["keyid"],
                done if ended(log, each, ends) else still,
            ]
            for each in of(log, word)
        ]
    rows += [[leaf, "recall", at, why, key, f"{count} artifacts quarantined"] for leaf, at, _, why, key, count in recalls(log)]
    rows += [
        [leaf, "rollback", at, why, key, f"champion {cycle}"]
        for leaf, at, why, key, cycle in told(log, "rollback", "leaf", "rolled_back_at", "reason", "keyid", "cycle")
    ]
    refused = {row[0]: next(each["predicate"]["reason"] for each in log if each["leaf"] == row[0]) for row in vetoes(log)}
    rows += [[leaf, "veto", at, refused[leaf] or action, key, "not carried out"] for leaf, at, action, key, *_ in vetoes(log)]
    return sorted(rows, key=lambda row: row[0])


KINDS = ("halt", "freeze", "recall", "rollback", "veto", "abandoned")


def counts(log: Log) -> dict[str, int]:
    found = Counter(row[1] for row in interventions(log))
    return {word: found[word] for word in KINDS}


def standing(log: Log) -> list[str]:
    found = [
        each
        for word, ends in (("halt", "resume"), ("freeze", "unfreeze"))
        for each in of(log, word)
        if ended(log, each, ends) is None
    ]
    return [f"{kind(each)} (entry {each['leaf']}): {each['predicate']['reason']}" for each in found]


def champion(log: Log, leaf: int) -> str | None:
    """Whose model was the champion just before an entry: by the gate, by persons who promoted one, or went back to one."""
    found = None
    for each in [one for one in of(log, "close", "rollback", "execute") if one["leaf"] < leaf]:
        told = each["predicate"]
        if kind(each) == "close":
            found = told["champion"]
        elif kind(each) == "rollback" or (kind(each) == "execute" and told["action"] == "promote"):
            found = told["cycle"]
    return found


def drill(log: Log) -> dict[str, Any]:
    """Of each halt the work that came after it, until persons let it go on: to the last of its entries."""
    rows = []
    for each in of(log, "halt"):
        end = ended(log, each, "resume") or len(log)
        after = [one for one in log[each["leaf"] + 1 : end] if kind(one) in {"phase", "failure", "open", "close"}]
        spent = max(0.0, between(each["predicate"]["halted_at"], str(when(after[-1])))) if after else 0.0
        rows.append((each["leaf"], each["predicate"]["halted_at"], spent, len(after), champion(log, end)))
    return table("leaf time seconds entries champion", rows)


MEANS = {
    "halt": "loopwright halt",
    "freeze": "loopwright halt --freeze",
    "rollback": "loopwright rollback",
    "recall": "loopwright recall",
}

OVERRIDE: dict[str, Query] = {
    "override.all": lambda log: table("leaf kind time reason signer state", interventions(log)),
    "override.counts": counts,
    "override.halts": acted("halt", "resume"),
    "override.standing": standing,
    "override.freezes": acted("freeze", "unfreeze"),
    "override.recalls": lambda log: table("leaf time artifact reason signer reached", recalls(log)),
    "override.rollbacks": lambda log: table(
        "leaf time cycle reason signer", told(log, "rollback", "leaf", "rolled_back_at", "cycle", "reason", "keyid")
    ),
    "override.vetoes": lambda log: table("leaf time action key duties cycle", vetoes(log)),
    "override.drill": drill,
    "override.last_halt": lambda log: found[-1][0] if (found := told(log, "halt", "halted_at")) else None,
    "override.corrective": lambda log: table(
        "kind command used", [(word, command, counts(log)[word]) for word, command in MEANS.items()]
    ),
    "override.none": lambda log: not interventions(log),
    "override.never_halted": lambda log: not of(log, "halt"),
}


QUERIES = {**SIGN, **OVERRIDE}


def test_what_persons_did_is_what_the_entries_say(recordings: Records) -> None:
    assert recordings.wrong(QUERIES) == {}


def test_other_acts_give_other_facts(recordings: Records) -> None:
    assert recordings.constant(QUERIES) == {}
