"""The training group: one `TorchTrainer.fit` in the background that serves every training job of a run.

An empty fit costs about twenty seconds of imports and process starts, which a loop of short cycles must not pay in each
cycle. So the fit's training function is a loop: rank 0 takes a job from the mailbox, all ranks run it, rank 0 sends the
result back, and so on until the mailbox says stop. Ray Train keeps doing what it is for: it forms the process group, sees
that a worker died, restarts the group; the new ranks then find the unfinished job in the mailbox and resume from its
newest checkpoint.

An error ends the job. With several ranks it ends the group too, since the others may wait for the failed one in a
collective; and there an infrastructure error is tried again, for it may only echo another rank's death.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.train import UserCallback
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from loopwright.errors import InfraError, LoopwrightError
from loopwright.runtime.checkpoints import KEPT, sweep
from loopwright.runtime.jobs import import_early, limit_threads, pack, perform, plain, said, storage_of, unpack
from loopwright.runtime.mailbox import Mailbox, State
from loopwright.runtime.profile import Profile
from loopwright.runtime.ray_map import SLOT

__all__ = ["TrainGroup"]

_SNAPSHOT = "checkpoint_manager_snapshot.json"
"""Ray Train's memory of a run's checkpoints. A fit that finds one goes on from it; ours are remembered per job instead."""

_LAST_LINES = 60
_BECAUSE = "The actor is dead because "
"""Where Ray begins to say why, after numbers that nobody needs."""


class TrainGroup:
    """The driver's side of the group; lives in the process that opened Ray."""

    def __init__(self, profile: Profile, scratch: Path, preload: Sequence[str]) -> None:
        self._profile = profile
        self._scratch = scratch
        self._preload = tuple(preload)
        self._mailbox: Any = None
        self._fit: Future[None] | None = None

    def start(self) -> None:
        """Begin the fit, unless there is one; returns at once."""
        if self._fit is not None and not self._fit.done():
            return
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        # On the driver's own node: what counts the losses of workers must not be lost with one of their nodes.
        actor: Any = ray.remote(num_cpus=0)(Mailbox)
        mailbox = actor.options(scheduling_strategy=here).remote(self._profile.max_failures + 1)
        thread = ThreadPoolExecutor(1, thread_name_prefix="fit")
        fit = thread.submit(_fit, self._profile, self._scratch, self._preload, mailbox)
        thread.shutdown(wait=False)
        fit.add_done_callback(lambda ended: _tell_end(ended, mailbox))
        self._mailbox, self._fit = mailbox, fit

    def when_ready(self, call: Callable[[], None]) -> None:
        """Call ``call`` once, on a thread of Ray's, when the group first asks for work."""
        self._mailbox.ready.remote().future().add_done_callback(lambda _: call())

    def run(self, function: bytes, job: bytes, progress: Callable[[int, int], None]) -> bytes:
        """Run one job; its packed outcome."""
        self.start()
        ray.get(self._mailbox.submit.remote(function, job))
        state, told = State(version=-1, step=None, outcome=None), None
        while state.outcome is None:
            state = ray.get(self._mailbox.watch.remote(state.version))
            if state.step not in (None, told):  # also with the outcome: the last step may come no other way
                told = state.step
                progress(*state.step)
        if not self._profile.warm:
            self.stop()
        return state.outcome

    def stop(self, patience: float = 30.0) -> None:
        """End the fit; waits up to ``patience`` seconds until its processes, and their GPUs, are free."""
        if self._fit is None:
            return
        with suppress(ray.exceptions.RayError):
            ray.get(self._mailbox.stop.remote(), timeout=patience)
        with suppress(TimeoutError):
            self._fit.exception(timeout=patience)
        ray.kill(self._mailbox)
        self._mailbox = self._fit = None


def _tell_end(ended: Future[None], mailbox: Any) -> None:
    error = ended.exception()
    if error is not None:
        mailbox.broken.remote(f"Ray Train gave up: {error}")


def _fit(profile: Profile, scratch: Path, preload: tuple[str, ...], mailbox: Any) -> None:
    """`TorchTrainer.fit`, until the mailbox says stop."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer: Any = TorchTrainer  # which of its two generations, Ray decides when it is imported

    class LeanTrainer(trainer):
        """Without the actors that serve Ray datasets and clusters which outlive their driver: we have neither.

        They cost five seconds of processor time at each start. Should Ray rename what is named here, they start again.
        """

        def _create_default_callbacks(self) -> list[Any]:
            unused = {"DatasetsCallback"} | ({"PlacementGroupCleanerCallback"} if profile.address == "local" else set())
            return [callback for callback in super()._create_default_callbacks() if type(callback).__name__ not in unused]

    # The controller starts this actor and waits for it; it may as well start beside the controller.
    with suppress(ImportError):
        from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import get_or_create_autoscaling_coordinator

        get_or_create_autoscaling_coordinator()
    (scratch / _SNAPSHOT).unlink(missing_ok=True)
    # A warm group on CPUs waits while map tasks run, and phases take turns: it asks for so little of a slot that work items, which
    # leave as much (`ray_map.SLOT`), still have all of them; and for something, since nodes without slots (a head) are not for work.
    # A group that may change its size is not kept, and Ray reckons how many ranks there is room for by whole slots.
    slots = 1.0 if profile.elastic else round(1 - SLOT, 4)
    resources = {"GPU": 1.0} if profile.use_gpu else {"CPU": slots}
    LeanTrainer(
        _serve,
        train_loop_config={"mailbox": mailbox, "preload": preload, "threads": profile.threads, "use_gpu": profile.use_gpu},
        torch_config=TorchConfig(backend="nccl" if profile.use_gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=profile.train_workers,
            use_gpu=profile.use_gpu,
            resources_per_worker=resources,
            placement_strategy="PACK" if profile.use_gpu else "SPREAD",
            label_selector=dict(profile.train_labels) or None,
        ),
        # How often a job may fail is counted in the mailbox, per job; a group as such may be replaced without end.
        run_config=RunConfig(
            name=scratch.name,
            storage_path=str(scratch.parent),
            failure_config=FailureConfig(max_failures=-1, controller_failure_limit=3),
            callbacks=[_Losses(mailbox)],
        ),
    ).fit()


class _Losses(UserCallback):
    """Tells the mailbox why Ray lost a rank: a rank that is killed cannot say it."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox

    def after_exception(self, run_context: Any, worker_exceptions: Mapping[int, Exception]) -> None:
        for error in worker_exceptions.values():
            died = getattr(error, "health_check_failure", error)
            if isinstance(died, ray.exceptions.RayError):
                why = said(died)
                self._mailbox.lost.remote(f"its process ended: {why.partition(_BECAUSE)[2] or why}", _last_words(str(error)))
                return


def _last_words(message: str) -> str:
    """What the process that is gone wrote last, where its node is this one: a crash in foreign code says there what it was."""
    named = re.search(r"log_file_path='(.+)/train/ray-train-app-worker-(\w+)\.log'", message)
    logs = sorted(Path(named[1]).glob(f"worker-{named[2]}-*.err")) if named else []
    lines = logs[-1].read_text(errors="replace").splitlines() if logs else []
    return "\n".join(ascii(line)[1:-1] for line in lines[-_LAST_LINES:])


def _serve(config: Mapping[str, Any]) -> None:
    """The training function of the fit, on every rank: jobs until there are no more."""
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    mailbox, context = config["mailbox"], get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    if rank == 0:
        ray.get(mailbox.started.remote())
    limit_threads(config["threads"])
    import_early(config["preload"])
    while True:
        number = ray.get(mailbox.take.remote()) if rank == 0 else None
        if world_size > 1:
            number = broadcast_from_rank_zero(number)
        if number is None:
            return
        _work(mailbox, number, rank, world_size, _device(config["use_gpu"]))


def _work(mailbox: Any, number: int, rank: int, world_size: int, device: str) -> None:
    """One job on one rank; tells the mailbox how it ended."""
    from ray.train.collective import barrier

    try:
        result = perform(_call, *ray.get(mailbox.job.remote()), mailbox, number, rank, world_size, device)
    except LoopwrightError as error:
        if world_size == 1:
            ray.get(mailbox.settle.remote(number, pack(error)))
            return
        if isinstance(error, InfraError):
            ray.get(mailbox.complain.remote(number, error.message))
        else:
            ray.get(mailbox.settle.remote(number, pack(error)))
        raise
    if world_size > 1:
        barrier()  # a rank that fails at the very end fails the job
    if rank == 0:
        ray.get(mailbox.settle.remote(number, pack(result)))


def _call(
    function: bytes, packed: bytes, mailbox: Any, number: int, rank: int, world_size: int, device: str
) -> Mapping[str, Any]:
    from ray.train.collective import barrier

    from loopwright.runtime.ray_worker import RayWorker

    job = unpack(packed)
    storage = storage_of(job)
    if rank == 0:
        sweep(storage)
    if world_size > 1:
        barrier()
    where = {"rank": rank, "world_size": world_size, "device": device, "storage": storage}
    worker = RayWorker(mailbox=mailbox, number=number, **where, keep=int(job.get("keep", KEPT)))
    return plain(perform(unpack(function), job, worker))


def _device(use_gpu: bool) -> str:
    if not use_gpu:
        return "cpu"
    from ray.train.torch import get_device

    return str(get_device())
