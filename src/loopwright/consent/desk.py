"""Requests of one workspace: made, weighed, and carried out by the executor, which believes nobody.

Whether a request is granted is `loopwright.ledger.quorum`'s to say. Before it is carried out, its signatures and those of its
approvals are checked against the stored bytes, their place in the log against its root, and what it is about against what
lies on disk. What is carried out is the stored request, once.
"""

from __future__ import annotations

import base64
import json
import os
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loopwright.clock import now, rfc3339
from loopwright.consent.matters import Ask, describe, force_now, in_force, quorum_of
from loopwright.errors import InfraError, IntegrityError, RefusedError, UsageError, WaitingForPerson
from loopwright.ledger import Ledger
from loopwright.ledger.acts import Request, request_id
from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.lean import lean
from loopwright.ledger.merkle import CompactRange, leaf_hash
from loopwright.ledger.principals import may_sign, principal_id, right, signed_by
from loopwright.ledger.quorum import Standing, commitment, is_real, standing
from loopwright.ledger.signer import Hand
from loopwright.ledger.statement import pae, read_payload, read_statement, unseal
from loopwright.ledger.taint import refuse_any
from loopwright.plan import Plan
from loopwright.store.artifacts import check
from loopwright.types import Digest

__all__ = ["Consent"]

_COMMITMENTS = Path(".loopwright/commitments")
_PATIENCE = 20
"""Looks of the executor at a record that others write to."""
_chance = random.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Keeps nothing: every answer is folded from the ledger anew."""

    root: Path
    plan: Plan
    """As it is on disk."""
    ledger: Ledger

    def state(self) -> LoopState:
        """The record now."""
        return fold(lean(self.ledger.statements()))

    def ask(self, ask: Ask, *, launchers: tuple[str, ...] = (), hand: Hand | None = None) -> Digest:
        """Append a request and publish it; its id.

        Args:
            ask: The matter, from `describe`.
            launchers: Key ids of the persons who started the run.
            hand: Who proposes, a person or an agent; None where a run asks (the controller signs).
        """
        return self._ask(ask, launchers, hand, "real")

    def _ask(self, ask: Ask, launchers: tuple[str, ...], hand: Hand | None, word: str) -> Digest:
        state = self.state()
        said, role = self.said(state, ask, launchers), "controller"
        if hand is None:
            controller = state.roster.current("controller")[0].id
            said |= {"by": "run", "proposer": controller, "commitment": self._commit(said["nonce"], word)}
        else:
            said["proposer"] = principal_id(hand.public_key)
            holder = state.roster.holder(said["proposer"])
            role = holder.role if holder else "person"
            said |= {"by": "agent"} if role == "agent" else {}
        index = self.ledger.append("request", ask.subjects, said, role=role, event=f"request:{said['nonce']}", hand=hand)
        self.ledger.publish()
        return request_id(next(self.ledger.statements(index)))

    def said(self, state: LoopState, ask: Ask, launchers: tuple[str, ...] = ()) -> dict[str, Any]:
        """What a request made now says, but for who proposes it."""
        policy, approvals = in_force(state, self.plan)
        size, root = self.ledger.head()
        made = datetime.now(UTC)
        return {
            "action": ask.action,
            "details": dict(ask.details),
            "evidence": list(ask.evidence),
            "policy": policy,
            "quorum": quorum_of(approvals, ask.action).model_dump(mode="json"),
            "workspace": state.workspace,
            "launchers": list(launchers),
            "nonce": secrets.token_hex(16),
            "checkpoint": {"size": size, "root": base64.b64encode(root).decode()},
            "requested_at": rfc3339(made),
            "expires_at": rfc3339(made + timedelta(hours=approvals.expires_hours)),
        }

    def standing(self, request: Request, state: LoopState, at: str | None = None) -> Standing:
        """Where a request stands, against what lies here now."""
        return standing(request, state, force_now(self.root, self.plan, state, request), at or now())

    def obtain(self, ask: Ask, launchers: tuple[str, ...], why: str) -> int | None:
        """The entry that carried this out, carrying it out now where it is granted; None where a person said no.

        Raises:
            WaitingForPerson: not enough persons have answered; the request is made where there is none. Says ``why`` first.
        """
        request, found = self.requested(ask, launchers)
        if found.status == "vetoed":
            return None
        if found.status != "open":
            return self.carry_out(request.id)
        matter = ", ".join(f"{name} {value}" for name, value in request.said["details"].items() if value)
        lacks, short = "; ".join((*found.missing, *found.reasons)), request.id[7:19]
        raise WaitingForPerson(
            f"{why}; persons have to answer request {short} ({request.action}{matter and ': ' + matter}), which lacks {lacks}",
            f"`loopwright answer {short}` shows it, `loopwright approve {short}` or `loopwright reject {short}` answers it; "
            "then run again. Who launched the run does not count; `loopwright keys enrol NAME` enrols persons, also the first",
        )

    def requested(self, ask: Ask, launchers: tuple[str, ...]) -> tuple[Request, Standing]:
        """`newest`; made now, in the run's name, where there is none."""
        found = self.newest(ask)
        if found is not None:
            return found
        made = self.ask(ask, launchers=launchers)
        self._plant(self.state(), ask, launchers)
        state = self.state()
        return state.acts.requests[made], self.standing(state.acts.requests[made], state)

    def newest(self, ask: Ask) -> tuple[Request, Standing] | None:
        """The newest request for exactly this that can still matter: open, granted, vetoed or executed."""
        state = self.state()
        for request in reversed([one for one in state.acts.requests.values() if _same(one, ask)]):
            found = self.standing(request, state)
            lost = found.status == "granted" and not is_real(request, self._salt(request))
            if found.status not in {"void", "expired"} and not lost:
                return request, found
        return None

    def carry_out(self, request: Digest) -> int:
        """The executor: append the ``execute`` of a granted request, once; the entry, also where that was done before.

        What was weighed is the whole record before that entry: where anybody said anything meanwhile, all is weighed again.

        Raises:
            UsageError: the record has no such request.
            RefusedError: it is not granted, or it was planted and may never be carried out.
            IntegrityError: bytes in the log or on disk are not those that were signed.
            WaitingForPerson: it promotes a model, and the policy's witnesses have not seen the log up to its approvals.
            InfraError: others write so fast that nothing can be weighed in between.
        """
        for _ in range(_PATIENCE):
            done = self._carried_out(request)
            if done is not None:
                return done
        raise InfraError("the record grows faster than it can be weighed", "try again")

    def _carried_out(self, request: Digest) -> int | None:
        """One look and one try; None where the record has moved on in between."""
        state = self.state()
        asked = state.acts.requests.get(request)
        if asked is None:
            raise UsageError(f"there is no request {request}", "`loopwright answer` lists them")
        if asked.executed is not None:
            return asked.executed
        found, salt = self.standing(asked, state), self._salt(asked)
        if found.status != "granted":
            raise RefusedError(f"request {request[7:19]} is {found.status}: {'; '.join((*found.missing, *found.reasons))}")
        if not is_real(asked, salt):
            raise RefusedError(f"request {request[7:19]} cannot be opened as a real one", "`loopwright run` asks anew")
        self._verified(asked, found, state)
        refuse_any(state, asked.subjects if asked.action == "promote" else (), f"request {request[7:19]}")
        for artifact in _kept(asked, state):
            check(self.root, artifact, fresh=True)
        cycle = asked.said["details"].get("cycle")
        said: dict[str, Any] = {
            "request": request,
            "action": asked.action,
            "approvals": list(found.approvals),
            "executed_at": now(),
        }
        said |= {"cycle": cycle} if cycle else {}
        said |= {"salt": salt} if salt else {}
        if asked.action == "promote":
            said["witness"] = self.witnessed(state, cycle, max(found.approvals))
        event = f"execute:{request}"
        index = self.ledger.append_at(state.leaves, "execute", asked.subjects, said, role="controller", event=event)
        if index is not None:
            self.ledger.publish()
        return index

    def witnessed(self, state: LoopState, cycle: str, since: int) -> dict[str, Any]:
        """What the entry that promotes a cycle's model tells of its witnesses; by the policy in force, of the log up to ``since``.

        WaitingForPerson or IntegrityError where they have not seen it, or have seen another log.
        """
        rule = in_force(state, self.plan)[1].witness
        if not rule.required:
            return {"required": 0, "accepted": []}
        from loopwright.consent.witnessed import witnessed  # late: few policies ask for it, and `status` counts milliseconds

        decided = state.cycles[cycle].phases["decide"].finished_at
        return witnessed(self.root, rule, since, decided, now(), f"the promotion of {cycle}")

    def carry_out_granted(self, *actions: str) -> list[int]:
        """Carry out every granted request of these kinds; the entries. A run does it when it starts, and so may any verb."""
        state = self.state()
        waiting = [one for one in state.acts.requests.values() if one.action in actions and one.executed is None]
        granted = [one for one in waiting if self.standing(one, state).status == "granted" and is_real(one, self._salt(one))]
        return [self.carry_out(one.id) for one in granted]

    def _verified(self, asked: Request, found: Standing, state: LoopState) -> None:
        """Request and approvals as stored: signed by whom they name, in this log, which goes on from the request's checkpoint."""
        stands, root = self.ledger.head()
        entries = self.ledger.entries_from(0, stands)  # others may append meanwhile; the log up to this root stays what it was
        size, tree = asked.said["checkpoint"]["size"], CompactRange()
        tree = tree.extend(map(leaf_hash, entries[:size]))
        if base64.b64encode(tree.root()).decode() != asked.said["checkpoint"]["root"]:
            raise IntegrityError(f"request {asked.id[7:19]} was made in another log than this one", "loopwright verify")
        if tree.extend(map(leaf_hash, entries[size:])).root() != root:
            raise IntegrityError("the log's entries are not those under its root", "loopwright verify")
        for index in (asked.index, *found.approvals):
            envelope, statement = unseal(entries[index]), read_statement(entries[index], index)
            kind, _, predicate = read_payload(envelope.payload)
            holder = state.roster.holdings[envelope.keyid].principal
            about = request_id(statement) if kind == "request" else predicate.get("request")
            allowed = may_sign(holder.role, right(kind, predicate))
            if about != asked.id or not allowed or not signed_by(holder, envelope.signature, pae(envelope.payload)):
                raise IntegrityError(f"entry {index} is not what {holder.id} signed", "loopwright verify")

    # -------------------------------------------------------------------------------- planted requests

    def _commit(self, nonce: str, word: str) -> str:
        """Keep the salt where only this account reads it; the commitment tells nothing without it."""
        folder, salt = self.root / _COMMITMENTS, secrets.token_hex(16)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{nonce}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"salt": salt, "word": word}, file)
        return commitment(salt, word)

    def _kept_word(self, request: Request) -> dict[str, str]:
        path = self.root / _COMMITMENTS / f"{request.said['nonce']}.json"
        return json.loads(path.read_bytes()) if path.is_file() else {}

    def _salt(self, request: Request) -> str | None:
        return self._kept_word(request).get("salt")

    def _plant(self, state: LoopState, ask: Ask, launchers: tuple[str, ...]) -> None:
        """Beside a request that waits, now and then one that is known to be bad: to promote what the gate rejected."""
        _, approvals = in_force(state, self.plan)
        bad = [name for name, one in state.cycles.items() if one.action == "reject" and one.artifact("model")]
        if bad and _chance.random() < approvals.canaries:
            chosen = describe(self.root, self.plan, state, "promote", {"cycle": _chance.choice(bad)})
            self._ask(chosen, launchers, None, "canary")

    def reveal(self, state: LoopState | None = None) -> list[Digest]:
        """Say of planted requests that were answered, or that nobody answered in time, what they were; their ids.

        ``state``: the record now, where the caller has it.
        """
        state, told = state or self.state(), list[Digest]()
        for request in _planted(state):
            kept = self._kept_word(request)
            if kept.get("word") == "canary" and self.standing(request, state).status != "open":
                said = {"request": request.id, "salt": kept["salt"], "revealed_at": now()}
                self.ledger.append("reveal", [], said, role="controller", event=f"reveal:{request.id}")
                told.append(request.id)
        return told


def _planted(state: LoopState) -> Iterator[Request]:
    """Those that may still turn out to be planted."""
    return (
        one for one in state.acts.requests.values() if "commitment" in one.said and one.canary is None and one.executed is None
    )


def _same(request: Request, ask: Ask) -> bool:
    same = request.action == ask.action and request.subjects == ask.subjects
    return same and request.said["details"] == dict(ask.details) and request.canary is None


def _kept(asked: Request, state: LoopState) -> Iterator[Any]:
    """Artifacts with a manifest that the request is about or rests on; other subjects were measured when it was weighed."""
    wanted = {*(one.digest for one in asked.subjects), *asked.said["evidence"]}
    for record in state.cycles.values():
        for done in record.phases.values():
            yield from (artifact for artifact in done.artifacts if artifact.digest in wanted)
