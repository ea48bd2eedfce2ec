"""The one place that calls a phase, records it, and skips what is done.

A finished phase key is never run again, so resume is rerun. A phase goes through the same boundaries every time, and a
kill between any two of them loses nothing:

    work in a fresh directory -> seal (fsync, hash once) -> rename into cycles/ -> dvc commit -> ledger append -> publish

A cycle is opened by a signed entry and ends in a signed checkpoint and one git commit (`loopwright.turn`).
"""

from __future__ import annotations

import importlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from loopwright.attempt import ALIVE, Attempt, Finished, begin, config_path, in_words, killed, phase_key
from loopwright.clock import now
from loopwright.endpoint import spent
from loopwright.energy import Meter, NoMeter, drawn
from loopwright.errors import InfraError, LoopwrightError
from loopwright.identity import domain_files, lock_digest, package_digests, plugin_package
from loopwright.ledger import Ledger
from loopwright.ledger.fold import CycleRecord, Folding, LoopState, record_of
from loopwright.plan import Plan, Section
from loopwright.plugins import Domain, ModelFamily, PhaseContext
from loopwright.prompts import asked_by
from loopwright.runtime import Executor
from loopwright.runtime.kept import KeptExecutor
from loopwright.sandbox import Sandbox
from loopwright.sandbox.canary import flown
from loopwright.store.artifacts import check, left, publish, seal
from loopwright.store.commits import Commits
from loopwright.store.cycles import stage_of
from loopwright.store.dvc import DvcStore
from loopwright.store.files import write_atomic
from loopwright.store.hashing import Sealed, measure
from loopwright.store.suites import Sealer
from loopwright.supervisor import Interruption, Supervisor
from loopwright.types import Artifact, Phase, canonical, digest_bytes, digest_value

__all__ = ["SPECS", "Observer", "PhaseSpec", "Run", "Tools", "call_phase"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSpec:
    """What a phase is called with, what it leaves, and who signs for it."""

    function: str
    """``module:name``; imported when it is called."""
    inputs: tuple[str, ...]
    """Names, in the order in which ``flows/cycle.py`` passes them."""
    outputs: tuple[str, ...]
    role: str
    """Whose key signs the statement."""
    packages: tuple[str, ...]
    """Whose sources go into the code digest, besides the plug-ins in use."""


SPECS: Mapping[str, PhaseSpec] = {
    "seed": PhaseSpec(
        function="loopwright.generate.human:seed",
        inputs=("sources",),
        outputs=("suites", "heldout", "accepted", "archive"),
        role="controller",
        packages=("loopwright.generate", "loopwright.sandbox"),
    ),
    "generate": PhaseSpec(
        function="loopwright.generate:generate",
        inputs=("recipe", "model", "accepted", "heldout"),
        outputs=("proposals",),
        role="generator",
        packages=("loopwright.generate",),
    ),
    "verify": PhaseSpec(
        function="loopwright.verify:verify",
        inputs=("proposals", "archive", "heldout"),
        outputs=("accepted",),
        role="verifier",
        packages=("loopwright.verify", "loopwright.sandbox"),
    ),
    "merge": PhaseSpec(
        function="loopwright.verify:merge",
        inputs=("archive", "accepted"),
        outputs=("archive",),
        role="controller",
        packages=("loopwright.verify",),
    ),
    "train": PhaseSpec(
        function="loopwright.train:train",
        inputs=("model", "archive"),
        outputs=("model",),
        role="trainer",
        packages=("loopwright.train",),
    ),
    "evaluate": PhaseSpec(
        function="loopwright.evaluate:evaluate",
        inputs=("evaluation", "model", "suites"),
        outputs=("evaluation",),
        role="evaluator",
        packages=("loopwright.evaluate", "loopwright.sandbox"),
    ),
    "examine": PhaseSpec(
        function="loopwright.evaluate:examine",
        inputs=("card", "first", "model", "accepted", "archive", "evaluation", "suites"),
        outputs=("card",),
        role="evaluator",
        packages=("loopwright.evaluate", "loopwright.sandbox"),
    ),
    "decide": PhaseSpec(
        function="loopwright.gate:decide",
        inputs=("evaluation", "card", "decision"),
        outputs=("decision",),
        role="gate",
        packages=("loopwright.gate",),
    ),
}
"""Every phase. The order of a cycle is not here but in ``flows/cycle.py``."""


class Observer(Protocol):
    """Sees a run go by: draws it, logs it, sends figures out. It never changes anything."""

    def event(self, cycle: str, phase: str, step: str, facts: Mapping[str, Any]) -> None:
        """``step``: started skipped worked sealed placed versioned recorded published failed · opened decided signed checkpointed committed."""
        ...

    def progress(self, cycle: str, phase: str, done: int, total: int, unit: str) -> None: ...


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
    launchers: tuple[str, ...] = ()
    """Key ids of the persons who started it; none of them approves what it asks for."""
    commits: Commits = field(init=False)
    committed: int = -1
    """Entries of the record at the last commit."""
    state: LoopState = field(init=False)
    _folding: Folding = field(init=False, default_factory=lambda: Folding(lean=True))

    def __post_init__(self) -> None:
        self.commits = Commits(self.root)
        self.refresh()

    def refresh(self) -> None:
        """Take in what is new on the record."""
        self.state = self._folding.after(self.ledger.statements(self._folding.leaves))

    def __call__(self, phase: Phase, section: Section, *inputs: Artifact | None) -> Any:
        """The phase's output artifact (a mapping by name where it has several), done before or done now.

        Raises:
            HaltedError: a halt, a freeze or a budget ended it, or forbids that it begins.
            IntegrityError: an input on disk differs from its record.
            PhaseError: the phase failed; the failed attempt is on the record.
        """
        spec = SPECS[phase]
        named = {name: artifact for name, artifact in zip(spec.inputs, inputs, strict=True) if artifact is not None}
        attempt = self._attempt(phase, spec, section, named)
        done = self.state.finished.get(attempt.key)
        if done is not None:
            shutil.rmtree(self._place(attempt), ignore_errors=True)  # where a kill came between record and clearing up
            self.observer.event(self.cycle, phase, "skipped", {"summary": done.summary})
            return _result(spec, done.artifacts)
        attempt = self._after_kill(attempt)
        self.supervisor.check(self.cycle, phase)
        try:
            seen = {artifact.path: check(self.root, artifact) for artifact in named.values()}
            seen[config_path(self.cycle, phase)] = measure(self.root / config_path(self.cycle, phase), "config")
            place = self._place(attempt)
            with self.supervisor.over(self.cycle, phase, lambda error: self._failed(attempt, error), place / ALIVE):
                finished = self._work(attempt, section)
            return _result(spec, self._record(attempt, finished, seen))
        except Interruption as caught:
            raise self._failed(attempt, caught.halted) from None
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

    def _attempt(self, phase: Phase, spec: PhaseSpec, section: Section, named: Mapping[str, Artifact]) -> Attempt:
        config = canonical(
            {
                "config": section.model_dump(mode="json"),
                "cycle": self.cycle,
                "phase": phase,
                "refs": self.tools.refs,
                "schema": 1,
                "seed": self.seed,
            }
        )
        path = self.root / config_path(self.cycle, phase)
        if not path.exists() or path.read_bytes() != config:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, config)
        plugins = (plugin_package("domains", self.plan.domain.name), plugin_package("models", self.plan.model.name))
        used = (*spec.packages, *plugins, *asked_by(section))
        packages = package_digests(used) | domain_files(self.plan.domain.settings, self.root)
        digest = digest_bytes(config)
        key = phase_key(self.ledger.workspace, self.cycle, phase, digest, named, digest_value(packages))
        number = 1 + sum(failure.get("key") == key for failure in self.here.failures)
        return Attempt(
            phase=phase, key=key, number=number, config=digest, packages=packages, inputs=dict(named), started_at=now()
        )

    def _work(self, attempt: Attempt, section: Section) -> Finished:
        """Do the work, or take up what a killed run had finished but not recorded."""
        place = self._place(attempt)
        finished = Finished.read(place, self.root, self._paths(attempt.phase))
        if finished is not None:
            return finished
        output, scratch = place / "output", place / "scratch"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        scratch.mkdir(exist_ok=True)
        self.observer.event(self.cycle, attempt.phase, "started", {"key": attempt.key, "attempt": attempt.number})
        started, clock = now(), time.monotonic()
        begin(place, started)
        inputs = {name: self.root / artifact.path for name, artifact in attempt.inputs.items()}
        self.meter.begin()
        summary = call_phase(SPECS[attempt.phase], section, inputs, self._context(attempt.phase, output, scratch))
        energy = self.meter.end()
        self.observer.event(self.cycle, attempt.phase, "worked", {})
        known, paths = left(scratch), self._paths(attempt.phase)  # what was hashed on the way out is not read again
        sealed = {name: seal(output / Path(path).name, name, known=known) for name, path in paths.items()}
        spent: dict[str, Any] = {"started_at": started, "seconds": time.monotonic() - clock, "energy": energy}
        finished = Finished(place=place, summary=summary, sealed=sealed, finished_at=now(), **spent)
        finished.write()
        self.observer.event(self.cycle, attempt.phase, "sealed", {})
        return finished

    def _place(self, attempt: Attempt) -> Path:
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
        left = killed(self._place(attempt))
        if left is None:
            return attempt
        told = "the driver was killed while this ran; the time is that of its last sign of life"
        times = dict(zip(("started_at", "failed_at"), left, strict=True))
        self._lost(attempt, attempt.said(self.cycle, "Killed", told) | times)
        self.refresh()
        return replace(attempt, number=attempt.number + 1)

    def _lost(self, attempt: Attempt, predicate: Mapping[str, Any]) -> None:
        scratch, event = self._place(attempt) / "scratch", f"{attempt.key}:{attempt.number}:failed"
        self.ledger.append("failure", [], {**predicate, **spent(scratch)}, role="controller", event=event)
        self.ledger.publish()
        spent(scratch, forget=True)
        (self._place(attempt) / ALIVE).unlink(missing_ok=True)


def call_phase(spec: PhaseSpec, section: Section, inputs: Mapping[str, Path], context: PhaseContext) -> dict[str, Any]:
    """Call the phase's function: pure, without ledger, key, DVC or git. Its summary goes through canonical JSON.

    Where answers were judged, the summary says how many canaries came back right among them.
    """
    module, _, name = spec.function.partition(":")
    flown(context.sandbox)  # what an attempt that failed left uncounted
    summary = getattr(importlib.import_module(module), name)(section, inputs, context)
    return json.loads(canonical({**summary, **flown(context.sandbox), **spent(context.scratch)}))


def _result(spec: PhaseSpec, artifacts: tuple[Artifact, ...]) -> Any:
    return artifacts[0] if len(spec.outputs) == 1 else {artifact.kind: artifact for artifact in artifacts}
