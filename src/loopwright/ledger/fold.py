"""Where the loop stands: a fold over the ledger's statements, and over nothing else.

Reading is not verifying: a fold believes the statements it is given (`loopwright.ledger.verify` checks them). Kinds that
it does not know are passed over, so that an older version can show a newer record.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from loopwright.errors import IntegrityError
from loopwright.ledger.acts import Acts
from loopwright.ledger.roster import Roster
from loopwright.ledger.statement import Statement
from loopwright.types import Artifact, Digest

__all__ = ["CycleRecord", "Folding", "LoopState", "PhaseRecord", "fold", "record_of"]


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
    config: Digest | None = None  # of a phase that an older fork brought along


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
            finished=ChainMap({record.key: record}, self.finished),  # type: ignore[arg-type]  # a copy of all keys a phase is dear in a long loop
            latest=max(self.latest, record.finished_at),
            leaves=record.index + 1,
        )


@dataclass(slots=True)
class Folding:
    """The state while it is made; each method takes one kind of statement.

    It can be kept and go on: `after` takes in what is new, and makes no record anew that nothing new is said of.
    """

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
    _records: dict[str, CycleRecord] = field(default_factory=dict)
    _said: dict[str, None] = field(default_factory=dict)
    """Cycles that something was said of since their records were made, in the order in which that began: so the records keep that of the cycles."""

    def after(self, statements: Iterable[Statement]) -> LoopState:
        """The state after these as well, given from number ``leaves`` on; IntegrityError where they contradict what is before them."""
        for statement in statements:
            self.leaves += 1
            self.take_time(statement)
            take = _TAKE.get(statement.kind)
            try:
                if take is not None:
                    take(self, statement)
            except (KeyError, TypeError, ValueError) as error:
                problem = f"entry {statement.index} of the ledger ({statement.kind}) does not fit what is before it: {error!r}"
                raise IntegrityError(problem, "loopwright verify") from error
        if not self.genesis:
            raise IntegrityError("the ledger does not begin with a genesis entry", "loopwright verify")
        return self._state()

    def _state(self) -> LoopState:
        for name in self._said:
            cycle: dict[str, Any] = self.cycles[name] | {"phases": dict(self.cycles[name]["phases"])}
            self._records[name] = CycleRecord(**cycle)
        self._said.clear()
        return LoopState(
            workspace=self.genesis["workspace"],
            name=self.genesis["name"],
            demo=self.genesis["demo"],
            genesis=self.genesis,
            cycles=dict(self._records),
            champion=self.champion,
            last=self.last,
            open=self.open,
            finished=dict(self.finished),
            approvals=dict(self.approvals),
            roster=self.roster,
            acts=self.acts,
            latest=self.latest,
            leaves=self.leaves,
            signatures=dict(self.signatures),
        )

    def _of(self, cycle: str) -> dict[str, Any]:
        """What is known of a cycle that something is said of now."""
        self._said[cycle] = None
        return self.cycles[cycle]

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
        self._said[said["cycle"]] = None

    def take_phase(self, statement: Statement) -> None:
        said = statement.predicate
        outputs = tuple(Artifact(kind=out["kind"], digest=out["digest"], path=out["path"]) for out in said["outputs"])
        record = record_of(said, outputs, statement.index)
        self.finished[record.key] = record
        _add_phase(self._of(said["cycle"]), record)

    def take_failure(self, statement: Statement) -> None:
        said = statement.predicate
        self._of(said["cycle"])["failures"] += (said,)

    def take_close(self, statement: Statement) -> None:
        said = statement.predicate
        cycle = self._of(said["cycle"])
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
            self._said[told["cycle"]] = None


_TAKE: Mapping[str, Callable[[Folding, Statement], None]] = {
    "genesis": Folding.take_genesis,
    "open": Folding.take_open,
    "phase": Folding.take_phase,
    "failure": Folding.take_failure,
    "close": Folding.take_close,
    "rollback": Folding.take_rollback,
    "approval": Folding.take_approval,
    "import": Folding.take_import,
    "signature": Folding.take_signature,
    **dict.fromkeys(("enrol", "rotate", "revoke"), Folding.take_people),
    **dict.fromkeys(
        ("request", "execute", "reveal", "halt", "freeze", "recall", "observation", "answer", "filing", "incident"),
        Folding.take_act,
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
        config=said.get("config"),
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
    return Folding().after(statements)
