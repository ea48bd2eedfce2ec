"""The one place that calls a phase, records it, and skips what is done.

A finished phase key is never run again, so resume is rerun. A phase goes through the same boundaries every time, and a
kill between any two of them loses nothing:

    work in a fresh directory -> seal (fsync, hash once) -> rename into cycles/ -> dvc commit -> ledger append -> publish

A cycle is opened by a signed entry and ends in a signed checkpoint and one git commit (`loopwright.turn`).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from loopwright.attempt import ALIVE, Attempt, Finished, config_path, in_words, killed, phase_key
from loopwright.clock import now
from loopwright.endpoint import spent
from loopwright.energy import Meter, NoMeter, drawn
from loopwright.errors import InfraError, LoopwrightError
from loopwright.identity import domain_files, lock_digest, package_digests, plugin_package
from loopwright.ledger import Ledger
from loopwright.ledger.fold import CycleRecord, Folding, LoopState, record_of
from loopwright.ledger.lean import lean
from loopwright.phases import SPECS, PhaseSpec, call_phase, cleared, work
from loopwright.plan import Plan, Section
from loopwright.plugins import Domain, ModelFamily, PhaseContext
from loopwright.prompts import asked_by
from loopwright.runtime import Executor
from loopwright.runtime.checkpoints import ask_to_leave
from loopwright.runtime.kept import KeptExecutor
from loopwright.sandbox import Sandbox
from loopwright.store.artifacts import check, publish
from loopwright.store.commits import Commits
from loopwright.store.cycles import stage_of
from loopwright.store.dvc import DvcStore
from loopwright.store.files import write_atomic
from loopwright.store.hashing import Sealed, measure
from loopwright.store.suites import Sealer
from loopwright.supervisor import Interruption, Supervisor
from loopwright.types import Artifact, Phase, canonical, digest_bytes, digest_value

__all__ = ["Ahead", "NotAhead", "Observer", "Run", "Tools"]


class Observer(Protocol):
    """Sees a run go by: draws it, logs it, sends figures out. It never changes anything."""

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """``step``: started skipped worked sealed placed versioned recorded published failed · opened decided signed checkpointed committed."""
        ...

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None: ...


class Ahead(Protocol):
    """Work for a cycle that is not open yet (`loopwright.ahead`)."""

    def begin(self, run: Run, phase: Phase) -> None:
        """This phase of the open cycle begins."""
        ...

    def take(self, run: Run, attempt: Attempt) -> Attempt:
        """This is about to be done; returns when nobody else does it, with the try that it now is."""
        ...


class NotAhead:
    """Everything in its turn."""

    def begin(self, run: Run, phase: Phase) -> None:
        """Nothing is begun."""

    def take(self, run: Run, attempt: Attempt) -> Attempt:
        """Nobody else does it."""
        return attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What phases work with: opened once for a whole run."""

    domain: Domain
    family: ModelFamily
    executor: Executor
    sandbox: Sandbox
    refs: Mapping[str, Mapping[str, Any]]
    sealer: Sealer


@dataclass(slots=True, kw_only=True)
class Run:
    """``run(phase, section, *inputs)`` -> the phase's output, from the record where it is done, by doing it where not."""

    root: Path
    plan: Plan
    ledger: Ledger
    dvc: DvcStore
    tools: Tools
    observer: Observer
    supervisor: Supervisor
    """Ends the work where a person or a budget says so."""
    cycle: str = ""
    """The open cycle's name; `loopwright.turn` opens and closes it."""
    seed: int = 0
    meter: Meter = field(default_factory=NoMeter)
    """Tells what a phase draws."""
    fence: Any = None
    """The workspace lease; checked before every write."""
    ahead: Ahead = field(default_factory=NotAhead)
    """Generates for the next cycle while this one trains, where the plan wants that."""
    until: int = 0
    """Number of the last cycle that was asked for."""
    launchers: tuple[str, ...] = ()
    """Key ids of the persons who started it; none of them approves what it asks for."""
    commits: Commits = field(init=False)
    committed: int = -1
    """Entries of the record at the last commit."""
    state: LoopState = field(init=False)
    _folding: Folding = field(init=False, default_factory=Folding)

    def __post_init__(self) -> None:
        self.commits = Commits(self.root)
        self.refresh()

    def refresh(self) -> None:
        """Take in what is new on the record."""
        self.state = self._folding.after(lean(self.ledger.statements(self._folding.leaves)))

    def __call__(self, phase: Phase, section: Section, *inputs: Artifact | None) -> Any:
        """The phase's output artifact (a mapping by name where it has several), done before or done now.

        Raises:
            HaltedError: a halt, a freeze or a budget ended it, or forbids that it begins.
            IntegrityError: an input on disk differs from its record.
            PhaseError: the phase failed; the failed attempt is on the record.
        """
        spec = SPECS[phase]
        named = {name: artifact for name, artifact in zip(spec.inputs, inputs, strict=True) if artifact is not None}
        attempt, config = self.attempt(phase, section, named, self.cycle, self.seed)
        self._configured(phase, config)
        done = self.state.finished.get(attempt.key)
        if done is not None:
            shutil.rmtree(self.place(attempt), ignore_errors=True)  # where a kill came between record and clearing up
            self.observer.event(self.cycle, phase, "skipped", {"summary": done.summary})
            return _result(spec, done.artifacts)
        attempt = self._after_kill(self.ahead.take(self, attempt))
        self.supervisor.check(self.cycle, phase)
        try:
            seen = {artifact.path: check(self.root, artifact) for artifact in named.values()}
            seen[config_path(self.cycle, phase)] = measure(self.root / config_path(self.cycle, phase), "config")
            place = self.place(attempt)
            self.ahead.begin(self, phase)
            save = partial(ask_to_leave, place / "scratch") if phase == "train" else None
            with self.supervisor.over(self.cycle, phase, lambda error: self._failed(attempt, error), place / ALIVE, save):
                finished = self._work(attempt, section)
            return _result(spec, self._record(attempt, finished, seen))
        except Interruption as caught:
            raise self._failed(attempt, caught.reason) from None
        except Exception as error:  # the one boundary: whatever went wrong is put on the record, then goes on its way
            raise self._failed(attempt, error) from error

    def empty(self, accepted: Artifact) -> bool:
        """True where the verify phase accepted neither a row nor a recipe: there is nothing new to learn from."""
        summary = self.here.phases["verify"].summary
        return summary["accepted"] == 0 and not summary.get("recipe", {}).get("accepted", False) and bool(accepted.digest)

    @property
    def here(self) -> CycleRecord:
        """The open cycle, as far as it is on the record."""
        return self.state.cycles[self.cycle]

    def attempt(
        self, phase: Phase, section: Section, named: Mapping[str, Artifact], cycle: str, seed: int
    ) -> tuple[Attempt, bytes]:
        """The next try of a piece of work, and the configuration that its key is made of; nothing is written."""
        config = canonical(
            {
                "config": section.model_dump(mode="json"),
                "cycle": cycle,
                "phase": phase,
                "refs": self.tools.refs,
                "schema": 1,
                "seed": seed,
            }
        )
        plugins = (plugin_package("domains", self.plan.domain.name), plugin_package("models", self.plan.model.name))
        used = (*SPECS[phase].packages, *plugins, *asked_by(section))
        packages = package_digests(used) | domain_files(self.plan.domain.settings, self.root)
        digest = digest_bytes(config)
        key = phase_key(self.ledger.workspace, cycle, phase, digest, named, digest_value(packages))
        failures = self.state.cycles[cycle].failures if cycle in self.state.cycles else ()
        number = 1 + sum(failure.get("key") == key for failure in failures)
        made = Attempt(
            phase=phase, key=key, number=number, config=digest, packages=packages, inputs=dict(named), started_at=now()
        )
        return made, config

    def _configured(self, phase: Phase, config: bytes) -> None:
        path = self.root / config_path(self.cycle, phase)
        if not path.exists() or path.read_bytes() != config:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, config)

    def _work(self, attempt: Attempt, section: Section) -> Finished:
        """Do the work, or take up what a killed run, or one ahead of this, had finished but not recorded."""
        place, spec, paths = self.place(attempt), SPECS[attempt.phase], self._paths(attempt.phase)
        finished = Finished.read(place, self.root, paths)
        if finished is not None:
            return finished
        output, scratch = cleared(place)
        self.observer.event(self.cycle, attempt.phase, "started", {"key": attempt.key, "attempt": attempt.number})
        inputs = {name: self.root / artifact.path for name, artifact in attempt.inputs.items()}
        context = self._context(attempt.phase, output, scratch)
        files = {name: Path(path).name for name, path in paths.items()}
        return work(
            place,
            files,
            lambda: call_phase(spec, section, inputs, context),
            self.meter,
            lambda step: self.observer.event(self.cycle, attempt.phase, step, {}),
        )

    def place(self, attempt: Attempt) -> Path:
        """Scratch of a phase key; what is in it survives a kill."""
        return self.root / ".loopwright" / "scratch" / f"{attempt.phase}-{attempt.key[7:23]}"

    def _context(self, phase: str, output: Path, scratch: Path) -> PhaseContext:
        cycle, observer, executor = self.cycle, self.observer, self.tools.executor
        if "suites" not in SPECS[phase].inputs:  # answers to sealed tasks tell of these, and lie nowhere in the clear
            executor = KeptExecutor(executor, scratch / "done")
        return PhaseContext(
            cycle=cycle,
            root=self.root,
            seed=self.seed,
            output=output,
            scratch=scratch,
            domain=self.tools.domain,
            family=self.tools.family,
            executor=executor,
            sandbox=self.tools.sandbox,
            progress=lambda done, total, unit: observer.progress(cycle, phase, done, total, unit),
            refs=self.tools.refs,
            sealer=self.tools.sealer,
        )

    def _paths(self, phase: Phase) -> dict[str, str]:
        """Where each output of a phase goes, relative to the workspace. The decision is one file, which git keeps."""
        folder = f"cycles/{self.cycle}"
        return {name: f"{folder}/{'decision.json' if name == 'decision' else name}" for name in SPECS[phase].outputs}

    def _record(self, attempt: Attempt, finished: Finished, seen: Mapping[str, Sealed]) -> tuple[Artifact, ...]:
        """Place, version, append, publish: each step may be repeated after a kill without harm."""

        def event(step: str) -> None:
            self.observer.event(self.cycle, attempt.phase, step, {"summary": finished.summary})

        self.fence.check()
        paths = self._paths(attempt.phase)
        for name, path in paths.items():
            waiting = finished.place / "output" / Path(path).name
            if waiting.exists():
                publish(waiting, self.root / path, finished.sealed[name])
        artifacts = tuple(
            Artifact(kind=name, digest=finished.sealed[name].manifest.digest, path=path) for name, path in paths.items()
        )
        event("placed")
        sealed = {path: finished.sealed[name] for name, path in paths.items()}
        self.dvc.record(stage_of(attempt.phase, self.cycle), sealed, seen)
        event("versioned")
        self.fence.check()
        predicate = self._predicate(attempt, finished, artifacts)
        role = SPECS[attempt.phase].role
        index = self.ledger.append("phase", artifacts, predicate, role=role, event=f"{attempt.key}:{attempt.number}")
        event("recorded")
        self.ledger.publish()
        event("published")
        self.state = self.state.with_phase(self.cycle, record_of(predicate, artifacts, index))  # no fold of the whole past
        shutil.rmtree(finished.place, ignore_errors=True)
        if self.plan.runtime.isolation == "job":
            self.tools.executor.close()  # its processes end with it; the next request opens another
        return artifacts

    def _predicate(self, attempt: Attempt, finished: Finished, artifacts: tuple[Artifact, ...]) -> dict[str, Any]:
        where = self.tools.executor.describe()
        return {
            "cycle": self.cycle,
            "phase": attempt.phase,
            "key": attempt.key,
            "attempt": attempt.number,
            "config": attempt.config,
            "inputs": [{"name": name, "path": item.path, "digest": item.digest} for name, item in attempt.inputs.items()],
            "outputs": [{"name": item.kind, "kind": item.kind, "path": item.path, "digest": item.digest} for item in artifacts],
            "summary": dict(finished.summary),
            "environment": {
                **attempt.environment,
                "sandbox": self.tools.sandbox.level,
                **where,
                **drawn(finished.energy, elsewhere=where.get("cluster") == "shared"),
                **({"ahead": {"staleness": 0}} if finished.ahead else {}),
            },
            "code": attempt.code,
            "lock": lock_digest(),
            "started_at": finished.started_at,
            "finished_at": finished.finished_at,
            "seconds": round(finished.seconds, 3),
        }

    def _failed(self, attempt: Attempt, error: Exception) -> LoopwrightError:
        """Put the failure on the record, if the machine still can, and say it in words."""
        said = in_words(attempt.phase, error)
        told = {"failed_at": now(), **drawn(self.meter.end())}
        try:
            self._lost(attempt, attempt.failed(self.root, self.cycle, error, said.message) | told)
        except (InfraError, OSError) as second:
            said.add_note(f"the failure itself could not be recorded: {second}")
        self.observer.event(self.cycle, attempt.phase, "failed", {"message": said.message})
        return said

    def _after_kill(self, attempt: Attempt) -> Attempt:
        """The attempt, or the next one where this was begun and killed: what it used is put on record, since budgets count it."""
        left = killed(self.place(attempt))
        if left is None:
            return attempt
        told = "the driver was killed while this ran; the time is that of its last sign of life"
        return self.again(attempt, "Killed", told, left)

    def again(self, attempt: Attempt, error: str, message: str, times: tuple[str, str]) -> Attempt:
        """Put on record what came to nothing between these times, with its cost; the next try."""
        told = dict(zip(("started_at", "failed_at"), times, strict=True))
        self._lost(attempt, attempt.said(self.cycle, error, message) | told)
        self.refresh()
        return replace(attempt, number=attempt.number + 1)

    def _lost(self, attempt: Attempt, predicate: Mapping[str, Any]) -> None:
        scratch, event = self.place(attempt) / "scratch", f"{attempt.key}:{attempt.number}:failed"
        self.ledger.append("failure", [], {**predicate, **spent(scratch)}, role="controller", event=event)
        self.ledger.publish()
        spent(scratch, forget=True)
        (self.place(attempt) / ALIVE).unlink(missing_ok=True)


def _result(spec: PhaseSpec, artifacts: tuple[Artifact, ...]) -> Any:
    return artifacts[0] if len(spec.outputs) == 1 else {artifact.kind: artifact for artifact in artifacts}
