"""The persons' side of a request: ask for something, look at it, answer it.

What is signed is the request's canonical bytes, by their digest; what is shown is read from the same bytes. Nothing here has an
authority of its own: an answer without a signature of an enrolled person's key is no answer, whoever calls.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from loopwright.budgets import agreed
from loopwright.clock import now
from loopwright.consent import Ask, Consent, describe
from loopwright.errors import LoopwrightError, RefusedError, UsageError
from loopwright.ledger import Ledger
from loopwright.ledger.acts import Request
from loopwright.ledger.fold import LoopState
from loopwright.ledger.hands import Passphrase, hand_of, hands_here
from loopwright.ledger.keys import config_home
from loopwright.ledger.names import name_of
from loopwright.ledger.principals import Principal, demonstration
from loopwright.ledger.quorum import Standing, excluded
from loopwright.ledger.signer import Hand
from loopwright.ledger.statement import unseal
from loopwright.types import Artifact, Digest, digest_bytes
from loopwright.workspace import Workspace

__all__ = ["Desk", "Shown", "event_of", "fields_of", "said_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One request as a person sees it before signing."""

    id: Digest
    payload: bytes
    """The canonical bytes: their digest is the id, and what an answer signs."""
    standing: Standing

    def fields(self) -> list[tuple[str, str]]:
        """Every field of the signed bytes, by its dotted name, as JSON: all of them, and nothing else."""
        return fields_of(self.payload)


def fields_of(payload: bytes) -> list[tuple[str, str]]:
    """Every field of signed bytes, by its dotted name, as JSON."""
    return list(_flat("", json.loads(payload)))


def said_of(request: Request, *, approves: bool, reason: str, opened_at: str | None) -> dict[str, Any]:
    """What an answer says, whoever signs it and wherever."""
    answer = "approve" if approves else "veto"
    return {"request": request.id, "answer": answer, "reason": reason, "opened_at": opened_at, "answered_at": now()}


def event_of(request: Request, key: str, answer: str) -> str:
    """The name under which one key's yes (or no) to a request is on the record, once."""
    return f"answer:{request.id}:{key}:{answer}"


def _flat(name: str, value: Any) -> Any:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(f"{name}.{key}" if name else key, item)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _flat(f"{name}[{number}]", item)
    else:
        yield name, json.dumps(value, ensure_ascii=False)


class Desk:
    """Requests of one workspace, for the persons who ask and answer. Use it as a context: it closes the ledger."""

    def __init__(self, workspace: Workspace, passphrase: Passphrase) -> None:
        self.root: Path = workspace.root
        self.ledger: Ledger = workspace.ledger()
        self.consent = Consent(root=workspace.root, plan=workspace.plan(), ledger=self.ledger)
        self.passphrase = passphrase

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def find(self, state: LoopState, what: str) -> Request:
        """The request that an id (or its beginning), a file or a digest names: of several the newest that is open.

        UsageError where none does.
        """
        requests = list(state.acts.requests.values())
        path = Path(what) if Path(what).is_file() else self.root / what

        wanted = digest_bytes(path.read_bytes()) if path.is_file() else what
        short = wanted.removeprefix("sha256:")
        found = [one for one in requests if len(short) >= 6 and one.id.startswith(f"sha256:{short}")]
        found = found or [one for one in requests if wanted in {subject.digest for subject in one.subjects}]
        if not found:
            raise UsageError(f"no request is about {what}", "`loopwright answer` lists them; `loopwright propose` makes one")
        waiting = [one for one in found if self.consent.standing(one, state).status == "open"]
        return (waiting or found)[-1]

    def show(self, request: Request, state: LoopState) -> Shown:
        """The request's stored bytes, and where it stands."""
        payload = unseal(self.ledger.entries()[request.index]).payload
        return Shown(id=request.id, payload=payload, standing=self.consent.standing(request, state))

    def opened(self, request: Request) -> None:
        """Remember, in this account, when the request was first looked at: how long people look is measured."""
        path = self._opening(request)
        if not path.is_file():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(now(), encoding="ascii")

    def _opening(self, request: Request) -> Path:
        return config_home() / "openings" / self.ledger.workspace / request.id.removeprefix("sha256:")

    def opened_at(self, request: Request) -> str | None:
        """When this account first looked at it; None where it never did."""
        path = self._opening(request)
        return path.read_text(encoding="ascii") if path.is_file() else None

    def ask(self, action: str, details: Mapping[str, Any], name: str | None) -> Digest:
        """Make a request in a person's (or an agent's) name; its id."""
        state = self.consent.state()
        _, hand = self.hand(state, name, "operator")
        ask = describe(self.root, self.consent.plan, state, action, details)
        self.stands(ask, state)
        return self.consent.ask(ask, hand=hand)

    def stands(self, ask: Ask, state: LoopState) -> None:
        """UsageError where there is nothing that this could be asked of."""
        halted = bool(state.acts.halts) or not agreed(state.acts, self.consent.plan.budgets)
        stands = {"resume": halted, "unfreeze": bool(state.acts.freezes), "admission": True}
        if not (ask.subjects or stands.get(ask.action)):
            raise UsageError(f"there is nothing to {ask.action}", "`loopwright status`")

    def say(
        self, kind: str, subjects: Sequence[Artifact], predicate: Mapping[str, Any], name: str | None, event: str | None = None
    ) -> int:
        """Append and publish what a person says by themselves: a halt, a freeze, an observation, a recall. The entry.

        ``event``: what must be said only once; by default nothing is the same.
        """
        _, hand = self.hand(self.consent.state(), name, "operator")
        event = event or f"{kind}:{uuid.uuid4().hex}"
        index = self.ledger.append(kind, subjects, predicate, role="person", event=event, hand=hand)
        self.ledger.publish()
        return index

    def cover(self) -> bool:
        """Let a checkpoint cover what was said, where the log's key lies here; False elsewhere: whoever runs the loop signs the next.

        Documents are drawn from what a checkpoint covers, and a loop that is frozen or halted makes no other.
        """
        try:
            self.ledger.sign_checkpoint()
        except LoopwrightError:
            return False
        return True

    def lift(self, action: str, details: Mapping[str, Any], name: str | None) -> tuple[Request, Standing]:
        """Ask for this where nobody has, or carry it out where persons granted it; the request, and where it stands then.

        UsageError where nothing stands that could be lifted.
        """
        state = self.consent.state()
        ask = describe(self.root, self.consent.plan, state, action, details)
        self.stands(ask, state)
        request, found = self.consent.newest(ask) or (None, None)
        if request is None or found is None:
            made = self.ask(action, details, name)
        else:
            made = request.id
            if found.status == "granted":
                self.consent.carry_out(made)
        state = self.consent.state()
        asked = state.acts.requests[made]
        return asked, self.consent.standing(asked, state)

    def answer(self, request: Request, *, approves: bool, name: str | None, reason: str) -> int:
        """Sign yes or no under the request's bytes; the entry.

        Raises:
            UsageError: nobody of this name has a key here; it is over.
            RefusedError: it would not count: who asks, launches or owns the agent that asks does not approve.
        """
        state = self.consent.state()
        request = state.acts.requests[request.id]
        principal, hand = self.answering(request, state, name)
        self.answerable(request, state, principal, approves=approves)
        said = said_of(request, approves=approves, reason=reason, opened_at=self.opened_at(request))
        index = self.ledger.append(
            "approval", request.subjects, said, role="person", event=event_of(request, principal.id, said["answer"]), hand=hand
        )
        self.ledger.publish()
        return index

    def answerable(self, request: Request, state: LoopState, principal: Principal, *, approves: bool) -> None:
        """Would this person's answer count? UsageError where the request is over, RefusedError where they may not approve it."""
        found = self.consent.standing(request, state)
        if found.status in {"executed", "void", "expired", "vetoed"}:
            raise UsageError(f"request {request.id[7:19]} is {found.status}: {'; '.join(found.reasons)}", "`loopwright answer`")
        barred = excluded(request, state.roster).get(principal.who)
        if approves and barred:
            raise RefusedError(
                f"this approval would not count: {name_of(self.root, principal)} {barred}", "another person has to sign"
            )

    def hand(self, state: LoopState, name: str | None, demo: str) -> tuple[Principal, Hand]:
        """Who signs: the named one; without a name the one person whose key lies here, or the demonstration's ``demo``."""
        if name is None:
            here = hands_here()
            mine = sorted({here[one.id] for one in state.roster.current("person") if one.id in here})
            if state.demo:
                mine = [demo]
            if len(mine) != 1:
                raise UsageError(
                    f"who signs? {', '.join(mine) or 'no enrolled key lies in this account'}",
                    "`--as NAME`; `loopwright keys enrol NAME`",
                )
            [name] = mine
        return hand_of(self.root, state.workspace, state.roster, name, self.passphrase)

    def answering(self, request: Request, state: LoopState, name: str | None) -> tuple[Principal, Hand]:
        """Who answers: the named one; in a demonstration without a name the first who has not answered and may."""
        if name is None and state.demo:
            barred, told = excluded(request, state.roster), {answer.key for answer in request.answers}
            free = [one for one in state.roster.current("person") if one.who not in barred and one.id not in told]
            return self.hand(state, name, name_of(self.root, free[0]) if free else "owner")
        return self.hand(state, name, "owner")

    def listed(self, state: LoopState, *, every: bool = False) -> list[dict[str, Any]]:
        """Requests as plain values, newest last: the open and the granted, or all."""
        rows = []
        for request in state.acts.requests.values():
            found = self.consent.standing(request, state)
            if every or found.status in {"open", "granted"}:
                rows.append(self.row(request, found, state))
        return rows

    def row(self, request: Request, found: Standing, state: LoopState) -> dict[str, Any]:
        """One request as plain values."""
        holders = state.roster.holdings
        return {
            "request": request.id,
            "leaf": request.index,
            "action": request.action,
            "details": dict(request.said["details"]),
            "requested_at": request.said["requested_at"],
            "expires_at": request.said["expires_at"],
            **asdict(found),
            "answers": [
                {
                    "leaf": answer.index,
                    "by": name_of(self.root, holders[answer.key].principal),
                    "key": answer.key,
                    "answer": "approve" if answer.approves else "veto",
                    "note": demonstration(holders[answer.key].principal),
                }
                for answer in request.answers
            ],
        }
