"""The executor on Ray, as the driver sees it: it talks to a child process that opens Ray, and never imports Ray itself.

So the driver stays small, starts at once (`warm` returns while Ray is still coming up), keeps its environment and its
terminal for itself, and can drop Ray at any moment, in the midst of a request too. A request that was interrupted drops the
child; the next one starts another.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from loopwright.errors import InfraError, PluginError, UsageError
from loopwright.runtime import TrainFunction
from loopwright.runtime.jobs import instruction_sets, pack, pack_function, plain, storage_of, unpack
from loopwright.runtime.profile import Profile
from loopwright.runtime.ray_process import HostProcess
from loopwright.types import Progress

__all__ = ["RayExecutor"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class RayExecutor:
    """See `loopwright.runtime.Executor`. One request at a time; a second thread waits its turn."""

    def __init__(self, profile: Profile, scratch: Path, preload: Sequence[str] = (), train_preload: Sequence[str] = ()) -> None:
        """Check the environment; start nothing.

        Args:
            profile: where to run, and with how much.
            scratch: absolute; training jobs keep their ``storage`` below it. On a cluster all nodes share it.
            preload: modules that every worker imports before its first work.
            train_preload: modules that training workers import besides.

        Raises:
            PluginError: Ray is not installed.
            UsageError: both ``lightning`` and ``pytorch_lightning`` are.
        """
        _check_environment()
        self._profile = profile
        self._scratch = scratch.resolve()
        self._preload = tuple(preload)
        self._train_preload = tuple(train_preload)
        self._process: HostProcess | None = None
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        return "ray"

    def warm(self) -> None:
        with self._turn:
            if self._process is None:
                self._start(eager=True).send(("warm",))

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        progress: Progress | None = None,
        unit: str = "",
        each: Callable[[int, Result], None] | None = None,
    ) -> list[Result]:
        packed = pack_function(function)
        if not items:
            return []
        results: dict[int, Result] = {}
        failed: list[bytes] = []

        def collect(index: int, fine: bool, outcome: bytes) -> None:
            if not fine:
                failed.append(outcome)
                return
            results[index] = unpack(outcome)
            if each:
                each(index, results[index])
            if progress:
                progress(len(results), len(items), unit)

        self._ask(("map", packed, [pack(item) for item in items]), collect)
        for outcome in failed:
            unpack(outcome)  # raises it
        return [results[index] for index in range(len(items))]

    def train(self, function: TrainFunction, job: Mapping[str, Any], progress: Progress | None = None) -> Mapping[str, Any]:
        packed = pack_function(function)
        if not storage_of(job).resolve().is_relative_to(self._scratch):
            raise ValueError(f"a job's storage lies below {self._scratch}, where Ray Train may register checkpoints")

        def tell(done: int, total: int) -> None:
            if progress:
                progress(done, total, "steps")

        return unpack(self._ask(("train", packed, pack(plain(dict(job)))), tell))

    def describe(self) -> Mapping[str, Any]:
        profile, process = self._profile, self._process
        return {
            "cluster": "private" if profile.address == "local" else "shared",
            "executor": self.name,
            "cpu": instruction_sets(),
            "map_workers": profile.map_workers,
            "ray": importlib.metadata.version("ray"),
            "threads": profile.threads,
            **_ranks(profile),
            "use_gpu": profile.use_gpu,
            **({"judged_on": dict(profile.verify_labels)} if profile.verify_labels else {}),
            **(process.facts if process else {}),
        }

    def close(self) -> None:
        with self._turn:
            if self._process is not None:
                process, self._process = self._process, None
                process.close()

    def _start(self, *, eager: bool) -> HostProcess:
        if self._process is None:
            self._process = HostProcess(self._profile, self._scratch, self._preload, self._train_preload, eager=eager)
        return self._process

    def _ask(self, message: tuple[Any, ...], each: Callable[..., None]) -> Any:
        """One request, from the message to its end; ``each`` gets what comes in between.

        Whoever leaves before the end (Ctrl-C, an error in ``each``) drops the host: its answer would be the next one's.
        """
        with self._turn:
            host = self._start(eager=False)
            try:
                host.send(message)
                while (answer := host.receive())[0] not in {"done", "broken"}:
                    each(*answer[1:])
            except BaseException:
                self._process = None
                host.abandon()
                raise
        if answer[0] == "broken":
            raise self._broken(answer[1])
        return answer[1]

    def _broken(self, reason: str) -> InfraError:
        """What Ray itself says of a request that it could not carry out; the host is of no use any more where its cluster is gone."""
        if self._profile.address == "local":
            return InfraError(f"Ray failed: {reason}", "free memory or mend the cause, then run again")
        return InfraError(
            f"the Ray cluster at {self._profile.address} failed: {reason}",
            f"`ray status --address {self._profile.address}` tells how it is; once it is up, `loopwright run` goes on from what is done",
        )


def _ranks(profile: Profile) -> dict[str, Any]:
    """How many there are, or may be: then the phase's own summary says how many there were."""
    ranks = profile.train_workers
    return {"train_workers": ranks} if isinstance(ranks, int) else {"train_workers_range": list(ranks)}


def _check_environment() -> None:
    if importlib.util.find_spec("ray") is None:
        raise PluginError(
            "the profile asks for Ray, and Ray is not installed",
            "pip install 'ray[default,train]', or set `runtime.profile: in-process` in loop.yaml",
        )
    if importlib.util.find_spec("lightning") and importlib.util.find_spec("pytorch_lightning"):
        raise UsageError(
            "both `lightning` and `pytorch_lightning` are installed; libraries that find both mix their classes",
            "pip uninstall lightning",
        )
