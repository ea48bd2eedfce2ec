"""Who is looking, and what they may see: sign-in by OIDC or by a proxy that is trusted, roles from the record or from a file.

Without a sign-in the app serves this machine alone, and whoever sits at it may see everything: the files are theirs anyway. With one, nobody
has a role that neither the record nor the roles file gives. Nothing here lets anybody act: acts are signed, and checked where they are verified.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from loopwright.errors import UsageError
from loopwright.ledger.roster import Roster

__all__ = ["DUTIES", "ROLES", "ROLES_FILE", "Visitor", "local", "read_roles", "visitor_of"]

ROLES = ("viewer", "engineer", "manager", "compliance")
DUTIES: Mapping[str, str] = {
    "owner": "manager", "manager": "manager", "operator": "engineer", "engineer": "engineer",
    "safety": "compliance", "compliance": "compliance", "audit": "compliance", "auditor": "compliance",
}  # fmt: skip
"""Role of a person by their duty in the record; every enrolled person is a viewer as well."""
ROLES_FILE = Path(".loopwright") / "roles.yaml"
"""Below the workspace: ``people: {anna@example.org: {key: 2f3a…, roles: [manager]}, "*": {roles: [viewer]}}``. Never in git."""
AS = "LOOPWRIGHT_APP_ROLES"
"""Comma-separated roles that a visitor of this machine is held to (a screen on a wall is a viewer)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who looks at one workspace."""

    name: str
    how: str
    """``local``, ``oidc`` or ``proxy``; ``none``: not signed in."""
    roles: frozenset[str]
    key: str | None = None
    """Their key id, where the roles file names one: entries of the access log bear it."""

    def may(self, roles: Collection[str]) -> bool:
        """Has one of these roles."""
        return not self.roles.isdisjoint(roles)


def local() -> Visitor:
    """Whoever sits at this machine."""
    told = os.environ.get(AS)
    held = {role.strip() for role in told.split(",")} if told is not None else set(ROLES)
    return Visitor(name="", how="local", roles=frozenset(held & set(ROLES)))


def read_roles(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Entries of a roles file by name, none where there is no file; UsageError where it is not of the form."""
    if not path.is_file():
        return {}
    try:
        people = yaml.safe_load(path.read_text(encoding="utf-8"))["people"]
        for name, told in people.items():
            if not isinstance(name, str) or not set(told) <= {"key", "roles"} or not set(told.get("roles", ())) <= set(ROLES):
                raise ValueError(name)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a roles file: {error!r}", "write `people: {NAME: {roles: [viewer]}}`") from error
    return {name.lower(): told for name, told in people.items()}


def visitor_of(user: Mapping[str, Any], how: str, people: Mapping[str, Mapping[str, Any]], roster: Roster | None) -> Visitor:
    """The visitor that a sign-in names. A key that was revoked gives nothing, whatever else the file says; an expired sign-in neither."""
    name = str(user.get("email") or user.get("sub") or "")
    expired = how == "oidc" and (not user.get("exp") or float(user["exp"]) < time.time())
    unproved = user.get("email_verified") in {False, "false"}
    if not name or expired or unproved:
        return Visitor(name=name, how=how, roles=frozenset())
    told = people.get(name.lower()) or people.get("*", {})
    key = told.get("key")
    holder = roster.holder(key) if key and roster else None
    if key and holder is None:
        return Visitor(name=name, how=how, roles=frozenset())
    given = set(told.get("roles", ()))
    if holder is not None:
        given |= {"viewer"} | {DUTIES[duty] for duty in holder.duties if duty in DUTIES}
    return Visitor(name=name, how=how, roles=frozenset(given), key=key)
