"""Settings as plain values: who is enrolled, who may see what, the policy in force, and how this app is set up. Read only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.contents import PAGES
from app.sheet import Column, Notice, Sheet, Table
from app.visitor import DUTIES, ROLES, ROLES_FILE, Visitor, read_roles
from app.words import Words
from loopwright.errors import LoopwrightError
from loopwright.index import Index
from loopwright.ledger.names import names_of
from loopwright.ledger.roster import Roster
from loopwright.planfile import load_plan

if TYPE_CHECKING:
    from app.frame import Here

__all__ = ["TABS", "View", "read"]

TABS = ("people", "roles", "policy", "app")
NAMES = ("manager", "compliance")
"""Roles that see the names of persons; all others see key ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything on the page."""

    sheet: Sheet


def read(index: Index, here: Here, tab: str) -> View:
    """Ask the record, the plan and the roles file."""
    words, notices = here.words, []
    try:
        if tab == "people":
            roster = index.state().roster
            names = names_of(here.root, roster) if here.visitor.may(NAMES) else {}
            tables = [_people(words, roster, names)]
        elif tab == "roles":
            tables = [_pages(words), *_roles(words, here.root, here.visitor)]
        elif tab == "policy":
            tables = [_policy(words, load_plan(here.root / "loop.yaml").model_dump(mode="json"))]
        else:
            tables = [_app(words, index, here)]
    except (LoopwrightError, OSError) as error:
        tables, notices = (
            [],
            [
                Notice(
                    kind="error",
                    title=words("unreadable"),
                    detail=getattr(error, "message", str(error)),
                    command=getattr(error, "next_step", ""),
                )
            ],
        )
    return View(sheet=Sheet(title=words("title"), notices=notices, tables=tables))


def _people(words: Words, roster: Roster, names: Mapping[str, str]) -> Table:
    columns = tuple(
        Column(
            key=key,
            label=words(f"people.{key}"),
            kind="count" if key in {"since", "revoked"} else "text",
            width=120 if key in {"name", "duties"} else None,
        )
        for key in ("name", "key", "role", "kind", "duties", "custody", "since", "revoked")
    )
    rows = [
        {
            "name": names.get(key), "key": key, "role": words.named("signer", one.principal.role), "kind": words.of("audit").named("holder", one.principal.kind),
            "duties": ", ".join(words.named("duty", duty) for duty in one.principal.duties) or None,
            "custody": one.principal.custody, "since": one.since, "revoked": one.revoked,
        }
        for key, one in roster.holdings.items()
    ]  # fmt: skip
    return Table(
        name="people",
        title=words("people"),
        columns=columns,
        rows=rows,
        note=words("people.note" if names else "people.hidden"),
    )


def _pages(words: Words) -> Table:
    columns = (
        Column(key="page", label=words("roles.page")),
        *(Column(key=role, label=words(f"role.{role}"), kind="yesno") for role in ROLES),
    )
    rows = [{"page": words(f"page.{one.name}"), **{role: role in one.needs for role in ROLES}} for one in PAGES]
    return Table(
        name="pages",
        title=words("roles"),
        columns=columns,
        rows=rows,
        note=words("roles.note", duties=", ".join(f"{duty} → {words(f'role.{role}')}" for duty, role in DUTIES.items())),
    )


def _roles(words: Words, root: Path, visitor: Visitor) -> Iterator[Table]:
    """The roles file, for those who may see persons."""
    if visitor.may(NAMES) and (people := read_roles(root / ROLES_FILE)):
        columns = (
            Column(key="name", label=words("people.name")),
            Column(key="roles", label=words("roles.given")),
            Column(key="key", label=words("people.key")),
        )
        rows = [
            {"name": name, "roles": ", ".join(told.get("roles", ())), "key": told.get("key")} for name, told in people.items()
        ]
        yield Table(name="roles", title=words("roles.file"), columns=columns, rows=rows)


def _flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{at}.{key}" if at else str(key))
    else:
        yield at, value


def _policy(words: Words, plan: Mapping[str, Any]) -> Table:
    shown = {name: plan[name] for name in ("gate", "approvals", "budgets", "exclude") if name in plan}
    rows = [{"key": key, "value": None if value is None else str(value)} for key, value in _flat(shown)]
    columns = (Column(key="key", label=words("policy.key"), width="large"), Column(key="value", label=words("policy.value")))
    return Table(name="policy", title=words("policy"), columns=columns, rows=rows, note=words("policy.note"))


def _app(words: Words, index: Index, here: Here) -> Table:
    rows = [
        {"what": words("app.workspace"), "value": here.root.name}, {"what": words("app.loops"), "value": ", ".join(here.known)},
        {"what": words("app.entries"), "value": words.count(index.told["size"])}, {"what": words("app.cycles"), "value": words.count(index.cycles())},
        {"what": words("app.sign_in"), "value": words(f"how.{here.visitor.how}")}, {"what": words("app.you"), "value": ", ".join(words(f"role.{role}") for role in ROLES if role in here.visitor.roles)},
    ]  # fmt: skip
    columns = (Column(key="what", label=""), Column(key="value", label=words("policy.value"), width="large"))
    return Table(name="app", title=words("app"), columns=columns, rows=rows, note=words("app.note"))
