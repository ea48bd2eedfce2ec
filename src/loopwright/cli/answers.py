"""`loopwright answer FIELD`: a person's signed answer to a field of a report, and what has been answered so far."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.cli.options import emit
from loopwright.errors import UsageError

if TYPE_CHECKING:
    from loopwright.govern.answers import Given
    from loopwright.report.fields import Found

__all__ = ["Said", "is_field", "tell"]


@dataclass(frozen=True, slots=True)
class Said:
    """What was typed; one of them, or text with files."""

    text: str | None
    files: tuple[Path, ...]
    confirm: bool
    not_applicable: str | None
    withdraw: bool

    @property
    def given(self) -> bool:
        """Is there anything to sign?"""
        return bool(self.files) or self.confirm or self.withdraw or self.text is not None or self.not_applicable is not None

    @property
    def state(self) -> str:
        """The one state that was asked for; UsageError where several were."""
        states = {
            "statement": self.text is not None or bool(self.files),
            "confirmed": self.confirm,
            "not-applicable": self.not_applicable is not None,
            "withdrawn": self.withdraw,
        }
        asked = [state for state, on in states.items() if on]
        if len(asked) != 1:
            raise UsageError(
                f"an answer is one thing, not {' and '.join(asked)}", "give --text (with --file), or one other option"
            )
        return asked[0]


def is_field(workspace: Path, what: str) -> bool:
    """Is this a field of some document, and no request?"""
    from loopwright.report.fields import field_ids
    from loopwright.workspace import find

    return what in field_ids(find(workspace).root)


def tell(
    what: str,
    said: Said,
    about: str | None,
    document: str | None,
    who: str | None,
    secret: Any,
    workspace: Path,
    *,
    as_json: bool,
) -> None:
    """Sign what was said; without anything said, list the field's versions."""
    from loopwright.govern.answers import answer
    from loopwright.govern.requests import Desk
    from loopwright.report.fields import find_field
    from loopwright.workspace import find

    root = find(workspace)
    found = find_field(root.root, what, document)
    with Desk(root, secret) as desk:
        if not said.given:
            rows = _versions(desk, found)
            emit({"schema_version": 1, "field": what, "versions": rows}) if as_json else _listed(what, rows)
            return
        made = answer(desk, _given(root.root, found, said, about), who)
    if as_json:
        emit({"schema_version": 1, **made})
        return
    seen = "documents show it" if made["covered"] else "documents show it once the next checkpoint is signed (`loopwright run`)"
    sys.stdout.write(f"{what}, {made['about']}: {made['state']}, version {made['version']} (entry {made['leaf']}); {seen}\n")


def _given(root: Path, found: Found, said: Said, about: str | None) -> Given:
    from loopwright.govern.answers import Given
    from loopwright.ledger.answers import LOOP
    from loopwright.report.fields import facts_digest

    field, state = found.field, said.state
    if field.source == "auto" and state in {"statement", "confirmed"}:
        raise UsageError(f"{field.id} is answered by the record itself", "only --not-applicable REASON and --withdraw")
    if found.document.declaration.scope == "incident" and about is None:
        raise UsageError(f"{field.id} is about an incident", "--about inc-…; `loopwright incident` lists them")
    confirms = None
    if state == "confirmed":
        about, confirms = facts_digest(root, found, about)
    return Given(
        field=field.id,
        document=found.document.name,
        about=about or LOOP,
        state=state,
        text=said.not_applicable if said.not_applicable is not None else said.text,
        files=said.files,
        confirms=confirms,
    )


def _versions(desk: Any, found: Found) -> list[dict[str, Any]]:
    from loopwright.ledger.names import names_of

    state = desk.consent.state()
    names = names_of(desk.root, state.roster)
    told = [one for one in state.acts.answers if one.predicate["field"] == found.field.id]
    return [{"leaf": one.index, "by": names.get(one.keyid, one.keyid), "key": one.keyid, **one.predicate} for one in told]


def _listed(what: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        words = f"{row['about']}: {row['state']}, version {row['version']}, {row['answered_at']} by {row['by']}"
        sys.stdout.write(f"{what}, {words} (entry {row['leaf']}{', ' + row['digest'] if row['digest'] else ''})\n")
    if not rows:
        sys.stdout.write(f"nobody has answered {what} yet: `loopwright answer {what} --text ...`\n")
