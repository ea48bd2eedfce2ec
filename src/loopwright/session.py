"""Opens what a run needs, in the order in which a refusal costs least, and closes it in reverse.

The lease comes first, so that a second driver leaves at once; the executor starts in the background while the rest opens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from loopwright.ahead import ahead_of
from loopwright.consent import Consent
from loopwright.energy import open_meter
from loopwright.errors import PlanError
from loopwright.ledger.hands import launchers
from loopwright.needs import lift
from loopwright.plan import Plan
from loopwright.plugins import load_domain, load_family
from loopwright.run import Observer, Run, Tools
from loopwright.supervisor import supervise
from loopwright.workspace import Workspace, write_resolved

if TYPE_CHECKING:
    from loopwright.runtime.profile import Profile
    from loopwright.sandbox import Sandbox

__all__ = ["open_run", "open_tools", "reachable"]

PRELOAD = ("torch", "loopwright.train", "loopwright.generate", "loopwright.evaluate", "loopwright.models.transformer")
"""What workers import while the driver still starts."""


@contextmanager
def open_tools(plan: Plan, root: Path, profile: str | None = None, *, warm: bool = True) -> Iterator[Tools]:
    """Executor, sandbox and plug-ins, as the plan names them; ``profile`` overrides where the work runs.

    ``warm``: start what is slow to start at once, a training group among it.
    """
    from loopwright.domains.watched import WatchedDomain  # late: loads what it then needs
    from loopwright.ledger.sealing import ProcessSealer
    from loopwright.runtime.profile import load_profile, open_executor
    from loopwright.sandbox.canary import Canaries, WatchedSandbox

    chosen = load_profile(root, profile or plan.runtime.profile)
    executor = open_executor(chosen, root / ".loopwright", PRELOAD)
    try:
        if warm and plan.runtime.isolation == "shared":
            executor.warm()
        canaries = Canaries(plan.verifier.canary_every, plan.seed)
        with _sandbox(plan, chosen, root / ".loopwright") as sandbox:
            yield Tools(
                domain=WatchedDomain(
                    load_domain(plan.domain.name, plan.domain.settings, root),
                    canaries,
                    plan.domain.name,
                    plan.verifier.patience_seconds,
                ),
                family=load_family(plan.model.name, plan.model.settings),
                executor=executor,
                sandbox=WatchedSandbox(sandbox, canaries),
                sealer=ProcessSealer(Workspace(root=root).ledger().workspace),
                refs={"domain": plan.domain.model_dump(mode="json"), "model": plan.model.model_dump(mode="json")},
            )
    finally:
        executor.close()


@contextmanager
def _sandbox(plan: Plan, profile: Profile, scratch: Path) -> Iterator[Sandbox]:
    """Where candidates run: on this host, or on the nodes that the profile sets apart for it."""
    from loopwright.runtime.profile import open_executor
    from loopwright.sandbox import Limits
    from loopwright.sandbox.pool import open_sandbox

    asked, level = plan.verifier, plan.verifier.minimum_level
    limits = Limits(
        wall_seconds=asked.wall_seconds,
        cpu_seconds=max(1, round(asked.wall_seconds)),
        memory_bytes=asked.memory_mib * 2**20,
    )
    if not profile.verify_labels:
        with open_sandbox(level, plan.runtime.sandbox_workers, limits) as sandbox:
            yield sandbox
        return
    from loopwright.sandbox.spread import SpreadSandbox

    with closing(open_executor(profile.judging, scratch)) as hosts:
        yield SpreadSandbox(level, limits, hosts.map)


def reachable(plan: Plan, root: Path) -> None:
    """PlanError unless the record can be found again: a driver whose work runs on other hosts may itself be started again on another, and finds the record only on a server."""
    import psutil

    from loopwright.runtime.profile import load_profile

    address = load_profile(root, plan.runtime.profile).address
    addresses = {one.address for found in psutil.net_if_addrs().values() for one in found}
    on_this_host = address == "local" or address.rpartition(":")[0].strip("[]") in {"localhost", *addresses}
    if plan.record.url is None and not on_this_host:
        raise PlanError(
            f"loop.yaml: record.url: {plan.runtime.profile} joins a cluster, and the record is an SQLite file of one host",
            "write it to PostgreSQL: record: {url: postgresql+pg8000://USER@HOST/DATABASE}",
        )


@contextmanager
def open_run(workspace: Workspace, observer: Observer, launcher: str | None = None) -> Iterator[Run]:
    """A `Run` on a workspace, with its lease held. ``launcher``: the person who starts it, besides those whose keys lie here.

    Raises:
        HaltedError: a halt or a freeze stands, or a budget is used up; nothing was started.
        LeaseHeld: another driver works here; the message says who and since when.
        PlanError: the plan on disk says what it may not, or work on other hosts under a record that only this one can reach.
    """
    plan = workspace.plan()
    reachable(plan, workspace.root)
    ledger = workspace.ledger()
    try:
        with ExitStack() as opened:
            lease = opened.enter_context(ledger.lease())
            launched_by = launchers(workspace.root, ledger.roster(), launcher)
            lift(Consent(root=workspace.root, plan=plan, ledger=ledger), launched_by)
            supervisor = opened.enter_context(supervise(ledger, plan.budgets))
            meter = opened.enter_context(open_meter(plan.runtime.energy, plan.runtime.country))
            ahead = opened.enter_context(ahead_of(plan, workspace.root))
            tools = opened.enter_context(open_tools(plan, workspace.root))
            from loopwright.store.dvc import DvcStore  # a second of imports, behind the executor's start

            write_resolved(workspace.root, plan)
            dvc = DvcStore(workspace.root)
            try:
                yield Run(
                    root=workspace.root,
                    plan=plan,
                    ledger=ledger,
                    dvc=dvc,
                    tools=tools,
                    observer=observer,
                    supervisor=supervisor,
                    meter=meter,
                    ahead=ahead,
                    fence=lease,
                    launchers=launched_by,
                )
            finally:
                dvc.close()
    finally:
        ledger.close()
