"""Where the loop stands: a fold over the ledger's statements, and over nothing else.

Reading is not verifying: a fold believes the statements it is given (`loopwright.ledger.verify` checks them). Kinds that
it does not know are passed over, so that an older version can show a newer record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from loopwright.errors import IntegrityError
from loopwright.ledger.acts import Acts
from loopwright.ledger.roster import Roster
from loopwright.ledger.statement import Statement
from loopwright.types import Artifact, Digest

__all__ = ["CycleRecord", "LoopState", "PhaseRecord", "fold", "record_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRecord:
    """One finished phase."""

    phase: str
    key: str
    attempt: int
    artifacts: tuple[Artifact, ...]
    """Its outputs."""
    inputs: tuple[Mapping[str, str], ...]
    """``name``, ``path`` and ``digest`` of each."""
    summary: Mapping[str, Any]
    started_at: str
    finished_at: str
    seconds: float
    """Wall time."""
    index: int
    """Its entry in the log (for an imported phase, the entry that brought it in)."""
    environment: Mapping[str, Any]
    """Host, executor and the like: true of this attempt, not of the artifacts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleRecord:
    """One turn of the loop, as far as it has come."""

    cycle: str
    parent: str | None
    """The champion's cycle when it began; None for the seed model's."""
    prev: str | None
    seed: int
    opened_at: str
    closed_at: str | None
    """None while it is open."""
    phases: Mapping[str, PhaseRecord]
    """By name, in the order in which they finished; of several attempts the last."""
    action: str | None
    """What the gate decided; None before that."""
    reasons: tuple[str, ...]
    champion_after: str | None
    """The champion's cycle when this one closed."""
    failures: tuple[Mapping[str, Any], ...]
    """Attempts that failed, as their statements tell it; never a score."""
    recipe: Mapping[str, Any] | None
    plan: Digest
    commit: str
    """Git commit of the cycle before, or ``none``."""
    pins: Mapping[str, Digest]
    """What was in force: code digests (``generator``, ``judge`` and others), and ``lock``."""
    index: int
    """Entry that opened it."""
    policy: Digest | None = None
    """What was in force when it opened: the digest of the policy, and who had to sign what; None where its entry tells neither."""
    approvals: Mapping[str, Any] | None = None
    launchers: tuple[str, ...] = ()
    """Key ids of the persons who started the run that opened it."""

    def artifact(self, kind: str) -> Artifact | None:
        """The cycle's artifact of that kind, or None where no phase has recorded one."""
        for record in self.phases.values():
            for artifact in record.artifacts:
                if artifact.kind == kind:
                    return artifact
        return None

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall time by phase."""
        return {name: record.seconds for name, record in self.phases.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopState:
    """Where the loop stands."""

    workspace: str
    name: str
    demo: bool
    genesis: Mapping[str, Any]
    """The predicate of the first entry."""
    cycles: Mapping[str, CycleRecord]
    """By name, in the order in which they were opened."""
    champion: str | None
    """Cycle whose model is the champion."""
    last: str | None
    """The cycle that closed last; an abandoned one left nothing to go on from and does not count."""
    open: str | None
    """The cycle that is open."""
    finished: Mapping[str, PhaseRecord]
    """Finished phases of this workspace by key; these are never run again."""
    approvals: Mapping[Digest, int]
    """The latest entry in which a person approved these bytes outside a request (as the first version of the program did)."""
    roster: Roster
    """Who is enrolled, and who was."""
    acts: Acts
    """Requests with their answers, halts, freezes, recalls, field results."""
    latest: str
    """The newest time that any entry tells: no clock that says less is right."""
    leaves: int
    """Entries that were folded."""
    signatures: Mapping[Digest, Statement] = field(default_factory=dict)
    """Of weights: the latest by the model's digest."""

    @property
    def promoted(self) -> tuple[str, ...]:
        """Cycles whose model was the champion: by the gate, or held and promoted by persons."""
        asked = [one for one in self.acts.requests.values() if one.action == "promote" and one.executed is not None]
        by_persons = {one.said["details"]["cycle"] for one in asked}
        return tuple(name for name, one in self.cycles.items() if one.action == "promote" or name in by_persons)

    def with_phase(self, cycle: str, record: PhaseRecord) -> LoopState:
        """The state one phase statement later, without folding the past again."""
        before = self.cycles[cycle]
        decided = {} if record.phase != "decide" else _decided(record)
        phases = {name: done for name, done in before.phases.items() if name != record.phase}
        after = replace(before, phases={**phases, record.phase: record}, **decided)
        return replace(
            self,
            cycles={**self.cycles, cycle: after},
            finished={**self.finished, record.key: record},
            latest=max(self.latest, record.finished_at),
            leaves=record.index + 1,
        )


@dataclass(slots=True)
class _Folding:
    """The state while it is made; each method takes one kind of statement."""

    genesis: Mapping[str, Any] = field(default_factory=dict)
    cycles: dict[str, dict[str, Any]] = field(default_factory=dict)
    finished: dict[str, PhaseRecord] = field(default_factory=dict)
    approvals: dict[Digest, int] = field(default_factory=dict)
    roster: Roster = field(default_factory=lambda: Roster(demo=False))
    acts: Acts = field(default_factory=Acts)
    signatures: dict[Digest, Statement] = field(default_factory=dict)
    champion: str | None = None
    last: str | None = None
    open: str | None = None
    latest: str = ""
    leaves: int = 0

    def take_time(self, statement: Statement) -> None:
        told = (value for name, value in statement.predicate.items() if name.endswith("_at") and name != "expires_at")
        self.latest = max((self.latest, *(time for time in told if isinstance(time, str))))

    def take_genesis(self, statement: Statement) -> None:
        self.genesis = statement.predicate
        self.roster = Roster.of(self.genesis)

    def take_open(self, statement: Statement) -> None:
        said = statement.predicate
        self.open = said["cycle"]
        self.cycles[said["cycle"]] = _opened(said, statement.index)

    def take_phase(self, statement: Statement) -> None:
        said = statement.predicate
        outputs = tuple(Artifact(kind=out["kind"], digest=out["digest"], path=out["path"]) for out in said["outputs"])
        record = record_of(said, outputs, statement.index)
        self.finished[record.key] = record
        _add_phase(self.cycles[said["cycle"]], record)

    def take_failure(self, statement: Statement) -> None:
        said = statement.predicate
        self.cycles[said["cycle"]]["failures"] += (said,)

    def take_close(self, statement: Statement) -> None:
        said = statement.predicate
        cycle = self.cycles[said["cycle"]]
        cycle.update(closed_at=said["closed_at"], action=said["action"], champion_after=said["champion"])
        self.open, self.champion = None, said["champion"]
        if "abandoned" not in said:
            self.last = said["cycle"]

    def take_rollback(self, statement: Statement) -> None:
        self.champion = statement.predicate["cycle"]

    def take_people(self, statement: Statement) -> None:
        self.roster = self.roster.after(statement)

    def take_act(self, statement: Statement) -> None:
        self.acts = self.acts.after(statement)
        if statement.kind == "execute" and statement.predicate["action"] == "promote":
            self.champion = statement.predicate["cycle"]  # a model that was held, and that persons promoted

    def take_signature(self, statement: Statement) -> None:
        self.signatures.update((subject.digest, statement) for subject in statement.subjects)

    def take_approval(self, statement: Statement) -> None:
        if "request" in statement.predicate:
            self.take_act(statement)
            return
        for subject in statement.subjects:
            self.approvals[subject.digest] = statement.index

    def take_import(self, statement: Statement) -> None:
        said = statement.predicate
        self.champion, self.last = said["champion"], said["last"]
        for told in said["cycles"]:
            brought = [one for one in said["artifacts"] if one["cycle"] == told["cycle"]]
            self.cycles[told["cycle"]] = _imported(told, brought, statement.index)


_TAKE: Mapping[str, Callable[[_Folding, Statement], None]] = {
    "genesis": _Folding.take_genesis,
    "open": _Folding.take_open,
    "phase": _Folding.take_phase,
    "failure": _Folding.take_failure,
    "close": _Folding.take_close,
    "rollback": _Folding.take_rollback,
    "approval": _Folding.take_approval,
    "import": _Folding.take_import,
    "signature": _Folding.take_signature,
    **dict.fromkeys(("enrol", "rotate", "revoke"), _Folding.take_people),
    **dict.fromkeys(
        ("request", "execute", "reveal", "halt", "freeze", "recall", "observation", "answer", "filing", "incident"),
        _Folding.take_act,
    ),
}


def record_of(said: Mapping[str, Any], outputs: tuple[Artifact, ...], index: int) -> PhaseRecord:
    """What a phase statement's predicate says, with its outputs, as entry ``index``."""
    return PhaseRecord(
        phase=said["phase"],
        key=said["key"],
        attempt=said["attempt"],
        artifacts=outputs,
        inputs=tuple(said["inputs"]),
        summary=said["summary"],
        started_at=said["started_at"],
        finished_at=said["finished_at"],
        seconds=said["seconds"],
        index=index,
        environment=said["environment"],
    )


def _opened(said: Mapping[str, Any], index: int) -> dict[str, Any]:
    same = ("cycle", "parent", "prev", "seed", "opened_at", "recipe", "plan", "commit")
    later = {"closed_at": None, "phases": {}, "action": None, "reasons": (), "champion_after": None, "failures": ()}
    in_force = {"policy": said.get("policy"), "approvals": said.get("approvals"), "launchers": tuple(said.get("launchers", ()))}
    pins = {**said["code"], "lock": said["lock"]}
    return {**{name: said[name] for name in same}, **later, **in_force, "pins": pins, "index": index}


def _decided(record: PhaseRecord) -> dict[str, Any]:
    return {"action": record.summary.get("action"), "reasons": tuple(record.summary.get("reasons", ()))}


def _add_phase(cycle: dict[str, Any], record: PhaseRecord) -> None:
    cycle["phases"].pop(record.phase, None)  # of several attempts the last, in its place in time
    cycle["phases"][record.phase] = record
    if record.phase == "decide":
        cycle.update(_decided(record))


def _imported(told: Mapping[str, Any], brought: Iterable[Mapping[str, str]], index: int) -> dict[str, Any]:
    cycle = _opened(told, index)
    outputs: dict[str, list[Artifact]] = {}
    for one in brought:
        outputs.setdefault(one["phase"], []).append(Artifact(kind=one["kind"], digest=one["digest"], path=one["path"]))
    for phase in told["phases"]:
        _add_phase(cycle, record_of(phase, tuple(outputs.get(phase["phase"], ())), index))
    cycle.update(closed_at=told["closed_at"], action=told["action"], champion_after=told["champion"])
    return cycle


def fold(statements: Iterable[Statement]) -> LoopState:
    """The state after these statements, given from the first one; IntegrityError where they contradict themselves."""
    folding = _Folding()
    for statement in statements:
        folding.leaves += 1
        folding.take_time(statement)
        take = _TAKE.get(statement.kind)
        try:
            if take is not None:
                take(folding, statement)
        except (KeyError, TypeError, ValueError) as error:
            problem = f"entry {statement.index} of the ledger ({statement.kind}) does not fit what is before it: {error!r}"
            raise IntegrityError(problem, "loopwright verify") from error
    if not folding.genesis:
        raise IntegrityError("the ledger does not begin with a genesis entry", "loopwright verify")
    return LoopState(
        workspace=folding.genesis["workspace"],
        name=folding.genesis["name"],
        demo=folding.genesis["demo"],
        genesis=folding.genesis,
        cycles={name: CycleRecord(**cycle) for name, cycle in folding.cycles.items()},
        champion=folding.champion,
        last=folding.last,
        open=folding.open,
        finished=folding.finished,
        approvals=folding.approvals,
        roster=folding.roster,
        acts=folding.acts,
        latest=folding.latest,
        leaves=folding.leaves,
        signatures=folding.signatures,
    )
