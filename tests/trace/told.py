"""Loops that are only told: statements as a driver would sign them, without keys, files or phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loopwright.ledger.fold import LoopState, fold
from loopwright.ledger.principals import enrolment
from loopwright.ledger.statement import Statement
from loopwright.types import Artifact, Digest, cycle_name, digest_value
from tests.ledger.workshop import ROLES, TIME, closing, opening, working

PRINCIPALS = [
    enrolment(role, bytes([number]) * 32, "none", demo=True)
    for number, role in enumerate(("controller", "generator", "verifier", "trainer", "evaluator", "gate", "person"))
]
KEYS = {one["role"]: one["id"] for one in PRINCIPALS}


class Told:
    """A log that grows; `append` and `publish` are the ledger's."""

    def __init__(self) -> None:
        genesis = {"workspace": "told", "name": "told", "demo": True, "plan": "", "principals": PRINCIPALS, "event": "genesis"}
        self.statements = [Statement(index=0, kind="genesis", subjects=(), predicate=genesis, keyid=KEYS["controller"])]

    def append(self, kind: str, subjects: Sequence[Artifact], predicate: Mapping[str, Any], *, role: str, event: str) -> int:
        index = len(self.statements)
        said = {**predicate, "event": event}
        keyid = KEYS[role]
        self.statements.append(Statement(index=index, kind=kind, subjects=tuple(subjects), predicate=said, keyid=keyid))
        return index

    def publish(self) -> None: ...

    @property
    def state(self) -> LoopState:
        return fold(self.statements)

    def phase(
        self, cycle: str, phase: str, inputs: Mapping[str, Artifact], outputs: Mapping[str, Digest], **summary: Any
    ) -> None:
        made = [Artifact(kind=kind, digest=digest, path=path_of(cycle, kind)) for kind, digest in outputs.items()]
        used = [{"name": name, "path": item.path, "digest": item.digest} for name, item in inputs.items()]
        predicate = {**working(cycle, phase, digest_value([cycle, phase]), made, summary), "inputs": used}
        self.append("phase", made, predicate, role=ROLES.get(phase, "evaluator"), event=f"{cycle}:{phase}")

    def seed(self) -> None:
        """c0000, as `flows/cycle.py` has it."""
        sources = Artifact(kind="sources", digest=fresh("sources"), path="sources")
        self.append("open", [], opening("c0000"), role="controller", event="open:c0000")
        kinds = ("suites", "heldout", "accepted", "archive")
        self.phase("c0000", "seed", {"sources": sources}, {kind: fresh("c0000", kind) for kind in kinds})
        self._judged("c0000", {"archive": self.made("c0000", "archive")}, {}, "promote")
        self.append("close", [], closing("c0000", champion="c0000"), role="controller", event="close:c0000")

    def turn(self, action: str, *, empty: bool = False, same: bool = False) -> str:
        """One cycle from where the loop stands; ``empty``: nothing is accepted, ``same``: equal bytes of what was accepted before."""
        state = self.state
        name, parent, prev = cycle_name(len(state.cycles)), str(state.champion), str(state.last)
        self.append("open", [], opening(name, parent=parent, prev=prev), role="controller", event=f"open:{name}")
        heldout, archive = self.made("c0000", "heldout"), self.made(prev, "archive")
        recipe = Artifact(kind="recipe", digest=fresh("none"), path="recipes/none.diff")
        used = {
            "recipe": recipe,
            "model": self.made(parent, "model"),
            "accepted": self.made(prev, "accepted"),
            "heldout": heldout,
        }
        self.phase(name, "generate", used, {"proposals": fresh(name, "proposals")})
        used = {"proposals": self.made(name, "proposals"), "archive": archive, "heldout": heldout}
        self.phase(name, "verify", used, {"accepted": fresh("same") if same else fresh(name, "accepted")})
        self.phase(
            name, "merge", {"archive": archive, "accepted": self.made(name, "accepted")}, {"archive": fresh(name, "archive")}
        )
        if empty:
            used = {
                "card": self.made(prev, "card"),
                "accepted": self.made(name, "accepted"),
                "archive": self.made(name, "archive"),
            }
            self.phase(name, "examine", used, {"card": fresh(name, "card")})
            used = {"card": self.made(name, "card"), "decision": self.made(prev, "decision")}
            self.phase(name, "decide", used, {"decision": fresh(name, "decision")}, action="reject", reasons=["nothing"])
        else:
            used = {"model": self.made(parent, "model"), "archive": self.made(name, "archive")}
            accounts = {"evaluation": self.made(parent, "evaluation"), "card": self.made(prev, "card")}
            self._judged(name, used, {**accounts, "decision": self.made(prev, "decision")}, action)
        promoted = action == "promote" and not empty
        champion = name if promoted else parent
        close = closing(name, action="promote" if promoted else "reject", champion=champion)
        self.append("close", [], close, role="controller", event=f"close:{name}")
        return name

    def _judged(self, name: str, learnt: Mapping[str, Artifact], before: Mapping[str, Artifact], action: str) -> None:
        self.phase(name, "train", learnt, {"model": fresh(name, "model")})
        used = {"model": self.made(name, "model"), "suites": self.made("c0000", "suites")}
        scores = {"evaluation": before["evaluation"]} if before else {}
        self.phase(name, "evaluate", {**scores, **used}, {"evaluation": fresh(name, "evaluation")})
        seen = {kind: self.made(name, kind) for kind in ("model", "accepted", "archive", "evaluation")}
        card = {"card": before["card"], "first": self.made("c0000", "model")} if before else {}
        self.phase(name, "examine", {**card, **seen}, {"card": fresh(name, "card")})
        used = {kind: self.made(name, kind) for kind in ("evaluation", "card")}
        budget = {"decision": before["decision"]} if before else {}
        self.phase(name, "decide", {**used, **budget}, {"decision": fresh(name, "decision")}, action=action, reasons=["told"])

    def made(self, cycle: str, kind: str) -> Artifact:
        for statement in self.statements:
            for item in statement.subjects:
                if statement.kind == "phase" and item.path == path_of(cycle, kind):
                    return item
        raise KeyError(cycle, kind)

    def recall(self, artifact: Artifact) -> None:
        said = {"artifact": artifact.digest, "reason": "told", "tainted": [artifact.digest], "recalled_at": TIME}
        self.append("recall", [artifact], said, role="person", event=f"recall:{len(self.statements)}")


def fresh(*parts: str) -> Digest:
    return digest_value(list(parts))


def path_of(cycle: str, kind: str) -> str:
    return f"cycles/{cycle}/{'decision.json' if kind == 'decision' else kind}"
