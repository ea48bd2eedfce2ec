"""Keys, copies of weights and who looked, policies and what was released, against questions to the entries and files."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from tests.report.asking import Log, Query, answer, cycles, entry, of, opened, output, table, told, when
from tests.report.records import Records
from tests.report.test_facts import kind
from tests.report.test_facts_log import decided, principals
from tests.report.test_facts_persons import about, answers, revoked, state


def since(log: Log, key: str) -> int:
    return next((each["leaf"] for each in of(log, "enrol", "rotate") if each["predicate"]["principal"]["id"] == key), 0)


def key_changes(log: Log) -> dict[str, Any]:
    rows = []
    for each in of(log, "enrol", "rotate", "revoke"):
        who = each["predicate"]["principal"]
        rows.append((each["leaf"], kind(each), who if isinstance(who, str) else who["id"], each["keyid"], when(each)))
    return table("leaf kind key signer time", rows)


def held(log: Log) -> list[dict[str, Any]]:
    return [one for one in principals(log) if one["role"] == "person" and revoked(log, one["id"]) is None]


def copies(log: Log) -> dict[str, Any] | None:
    """None where the files do not lie beside the record."""
    rows = []
    for name in [one for one in cycles(log) if output(log, "model", one)]:
        folder = log.root / f"cycles/{name}/model"
        if not folder.is_dir():
            return None
        rows.append(
            (name, f"cycles/{name}/model", output(log, "model", name), sum(file.stat().st_size for file in folder.iterdir()))
        )
    return table("cycle path digest bytes", rows)


def written_rights(log: Log) -> dict[str, Any]:
    """As the format's page, which is normative, has them."""
    page = (
        (Path(__file__).parents[2] / "docs/ledger-format.md")
        .read_text("utf-8")
        .split("<!-- from code: rights -->")[1]
        .split("<!-- end -->")[0]
    )
    rows = [line.strip("| ").split(" | ") for line in page.strip().splitlines()[2:]]
    return table("role rights", [(role.strip("`"), rights.replace("`", "").strip()) for role, rights in rows])


ACCESS: dict[str, Query] = {
    "access.principals": lambda log: table("key kind role duties custody since revoked", [
        (one["id"], one["kind"], one["role"], ", ".join(one.get("duties", ())), one["custody"], since(log, one["id"]), revoked(log, one["id"]))
        for one in principals(log)
    ]),
    "access.persons": lambda log: len({one.get("person") or one["id"] for one in held(log)}),
    "access.roles": written_rights,
    "access.copies": copies,
    "access.log_anchors": lambda log: table("file lines digest time leaf", told(log, "anchor", "file", "lines", "digest", "anchored_at", "leaf")),
    "access.accesses": lambda log: sum(lines for (lines,) in told(log, "anchor", "lines")),
    "access.never_accessed": lambda log: not of(log, "anchor"),
    "access.key_changes": key_changes,
}  # fmt: skip


def policies(log: Log) -> dict[str, Any]:
    rows: list[tuple[Any, ...]] = []
    for name in cycles(log):
        begin = opened(log, name)
        now = (begin["predicate"].get("policy"), begin["predicate"].get("envelope"), begin["predicate"]["plan"])
        if not rows or rows[-1][1:4] != now:
            rows.append((name, *now, begin["predicate"]["opened_at"], begin["leaf"]))
    return table("cycle policy envelope plan time leaf", rows)


def decisions(log: Log) -> dict[str, Any]:
    rows: list[list[Any]] = [
        [found["leaf"], name, "gate", decided(log, name), found["keyid"]]
        for name in cycles(log)
        if (found := entry(log, "decide", name))
    ]
    for asked in of(log, "request"):
        rows.append(
            [asked["leaf"], about(log, asked), f"request {asked['predicate']['action']}", state(log, asked), asked["keyid"]]
        )
        rows += [
            [one["leaf"], about(log, asked), f"answer to {asked['leaf']}", one["predicate"]["answer"], one["keyid"]]
            for one in answers(log, asked)
        ]
    return table("leaf cycle event decision signer", sorted(rows, key=lambda row: row[0]))


def quorum(log: Log) -> dict[str, Any] | None:
    told = opened(log)["predicate"].get("approvals")
    return (
        table(
            "quorum persons duties",
            [(name, told[name]["persons"], ", ".join(told[name]["duties"])) for name in ("ordinary", "strict")],
        )
        if told
        else None
    )


def ten_years_on(log: Log) -> str | None:
    """Ten years after placing on the market; of the 29th of February, where that year has none, the 28th."""
    told = answer(log, "release.eu_date")
    if told is None:
        return None
    day = date.fromisoformat(told)
    return f"{day.year + 10}-{told[5:] if told[5:] != '02-29' else '02-28'}T00:00:00Z"


def placed(log: Log) -> bool | None:
    """A date was answered, or the plan keeps a model as placed; no, where a person said of both dates that they don't apply."""
    if any(answer(log, f"release.{name}") for name in ("eu_date", "date")) or opened(log)["predicate"].get("retention"):
        return True
    states = dict(told(log, "answer", "field", "state"))
    return False if all(states.get(f"release.{name}") == "not-applicable" for name in ("eu_date", "date")) else None


POLICY: dict[str, Query] = {
    "policy.framework_versions": lambda log: table("version time signer state digest", [
        row[1:] for row in told(log, "answer", "field", "version", "answered_at", "keyid", "state", "digest") if row[0] == "policy.framework"
    ]),
    "policy.retention_holds": lambda log: table("cycle placed_on_market years", [
        (one["cycle"], one["placed_on_market"], one["years"]) for one in opened(log)["predicate"].get("retention", ())
    ]),
    "policy.quorum": quorum,
    "policy.history": policies,
    "policy.decisions": decisions,
    "policy.budgets": lambda log: table("limit value", sorted(opened(log)["predicate"].get("budgets", {}).items())),
    "release.placed": placed,
    "release.retention_until": ten_years_on,
}  # fmt: skip

QUERIES = {**ACCESS, **POLICY}


def test_keys_copies_and_policies_are_what_the_entries_say(recordings: Records) -> None:
    assert recordings.wrong(QUERIES) == {}


def test_other_keys_and_policies_give_other_facts(recordings: Records) -> None:
    assert recordings.constant(QUERIES) == {}
