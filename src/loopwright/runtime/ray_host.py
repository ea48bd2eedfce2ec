"""The process that is Ray's driver: a child of ours with a clean environment, so that ours never imports Ray.

It opens Ray, keeps the training group, and does one request at a time: ``python -P -m loopwright.runtime.ray_host FD``, with
the pipe to its parent as file descriptor FD (`loopwright.runtime.ray_process` is the other end). Functions, items and
results pass through as bytes; only workers unpack them. Nothing it prints reaches a terminal, and when its parent is gone,
however it went, it ends Ray and itself.

    parent -> host   Opening (once), ("warm",), ("map", function, items), ("train", function, job), ("close",)
    host -> parent   ("ready", facts), ("item", index, fine, outcome), ("progress", done, total), ("done", outcome | None),
                     ("broken", reason), ("fatal", reason): Ray could not be opened, and the host ends
"""

from __future__ import annotations

import ctypes
import os
import queue
import shutil
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import psutil
import ray

from loopwright.errors import InfraError
from loopwright.runtime.jobs import one_line, said
from loopwright.runtime.profile import Profile
from loopwright.runtime.ray_map import Pool
from loopwright.runtime.ray_process import Opening, kill_all
from loopwright.runtime.ray_train import TrainGroup

__all__ = ["Host", "main"]

_LOOK = 1.0
"""Seconds between two looks whether the parent lives; a closed pipe says so at once, unless a forked child holds it open."""
_ADOPT_ORPHANS = 36
"""Linux' PR_SET_CHILD_SUBREAPER: a worker whose raylet died becomes a child of ours, so that `Host.end` sees it."""
_MIB = 2**20


class Host:
    """Requests in, answers out, one at a time."""

    def __init__(self, connection: Connection, opening: Opening) -> None:
        self._connection = connection
        self._opening = opening
        self._parent = os.getppid()
        self._inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._ending = threading.Lock()
        self._group = TrainGroup(opening.profile, opening.scratch, (*opening.preload, *opening.train_preload))

    def listen(self) -> None:
        """Take requests in, on a thread of its own; end everything when the parent is gone."""
        message: tuple[Any, ...] = ("",)
        try:
            while message[0] != "close" and os.getppid() == self._parent:
                if self._connection.poll(_LOOK):
                    message = self._connection.recv()
                    self._inbox.put(message)
        except (EOFError, OSError):
            pass  # the pipe is closed
        if message[0] != "close" or self._opening.profile.address == "local":
            self.end()  # a Ray of our own can simply go; a shared one is taken leave of

    def serve(self) -> None:
        """Open Ray, then answer until told to close."""
        profile = self._opening.profile
        _open(self._opening)
        if not _slots(profile) and profile.address == "local":  # work would wait for ever; a shared cluster may grow
            raise InfraError("the profile asks for GPUs, and Ray finds none on this machine")
        pool = Pool(_workers(profile), profile.use_gpu, self._opening.preload, profile.map_labels)
        job = ray.get_runtime_context().get_job_id()
        self._connection.send(("ready", {"job": job, "map_workers": pool.workers, "nodes": len(ray.nodes())}))
        while (message := self._inbox.get())[0] != "close":
            try:
                self._answer(pool, message)
            except ray.exceptions.RayError as error:
                self._connection.send(("broken", said(error)))
        self._group.stop(patience=5.0)
        ray.shutdown()

    def _answer(self, pool: Pool, message: tuple[Any, ...]) -> None:
        match message:
            case ("warm",):
                self._warm(pool)
            case ("map", function, items):
                pool.workers = _workers(self._opening.profile)
                pool.run(function, items, lambda *item: self._connection.send(("item", *item)))
                self._connection.send(("done", None))
            case ("train", function, job):
                pool.release()
                outcome = self._group.run(function, job, lambda done, total: self._connection.send(("progress", done, total)))
                self._connection.send(("done", outcome))

    def _warm(self, pool: Pool) -> None:
        if not self._opening.profile.warm:
            pool.warm()
            return
        # The group takes longest and is needed first, by the first cycle's training; the others import behind it.
        self._group.start()
        self._group.when_ready(pool.warm)

    def end(self) -> None:
        """Leave no process and no file of this Ray behind, and go."""
        self._ending.acquire()  # held to the end: the listener and the main thread may both come here
        # The files go first, while we surely live: a driver of Ray is ended by the death of its raylet.
        shutil.rmtree(self._opening.temporary, ignore_errors=True)
        kill_all(lambda: psutil.Process().children(recursive=True))
        shutil.rmtree(self._opening.temporary, ignore_errors=True)
        os._exit(0)  # threads of Ray may still wait for what is gone


def _open(opening: Opening) -> None:
    """`ray.init`: a private Ray on this machine, or a running cluster."""
    profile = opening.profile
    if profile.address != "local":
        _answers(profile.address)
        ray.init(address=profile.address, log_to_driver=False)
        _refuses_strangers(ray.get_runtime_context().gcs_address)
        return
    if opening.eager:  # four seconds of imports, while Ray starts its processes
        threading.Thread(target=_import_train, daemon=True).start()
    ray.init(
        address="local",
        num_cpus=None if profile.num_cpus == "auto" else profile.num_cpus,
        num_gpus=None if profile.use_gpu else 0,
        object_store_memory=profile.object_store_mib * _MIB,
        include_dashboard=profile.dashboard,
        dashboard_host="127.0.0.1",
        log_to_driver=False,
        _temp_dir=str(opening.temporary / "r"),  # Ray opens this one to everybody; the one around it stays ours
    )


def _workers(profile: Profile) -> int:
    """How many items run at once, by what the cluster has now."""
    return max(1, _slots(profile)) if profile.map_workers == "auto" else profile.map_workers


def _slots(profile: Profile) -> int:
    """CPUs, or GPUs, of the living nodes on which items may run."""
    wanted = profile.map_labels.items()
    nodes = [node for node in ray.nodes() if node["Alive"] and wanted <= node.get("Labels", {}).items()]
    return int(sum(node["Resources"].get("GPU" if profile.use_gpu else "CPU", 0) for node in nodes))


def _answers(address: str, patience: float = 10.0) -> None:
    """InfraError unless somebody listens at ``host:port`` within ``patience`` seconds; Ray itself would try for a minute and more."""
    host, _, port = address.rpartition(":")
    end = time.monotonic() + patience
    while host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=patience).close()
        except OSError as error:
            if time.monotonic() > end:
                raise InfraError(f"no Ray head answers at {address}: {error.strerror or error}") from error
            time.sleep(0.5)
        else:
            return


def _refuses_strangers(address: str, patience: float = 10.0) -> None:
    """InfraError where the head at ``host:port`` answers a caller without a token, or cannot be asked: whoever reaches an open Ray runs code."""
    import grpc

    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetClusterId")
        try:
            ask(b"", timeout=patience)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNAUTHENTICATED:  # type: ignore[attr-defined]  # grpc's errors are calls, too
                return
            told = f"the Ray cluster at {address} could not be asked whether it refuses strangers: {error.code()}"  # type: ignore[attr-defined]
            raise InfraError(told) from error
    raise InfraError(f"the Ray cluster at {address} answers callers without a token; start all of it with RAY_AUTH_MODE=token")


def _import_train() -> None:
    import ray.train.torch  # noqa: F401


def main() -> None:
    """Run until the parent says close, or is gone."""
    ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1)
    connection = Connection(int(sys.argv[1]))
    host = Host(connection, connection.recv())
    threading.Thread(target=host.listen, daemon=True).start()
    try:
        host.serve()
    except BrokenPipeError:
        pass  # the parent went while it was answered
    except BaseException as error:
        traceback.print_exc()
        with suppress(OSError):
            connection.send(("fatal", one_line(str(error)) or type(error).__name__))
        raise
    finally:
        host.end()


if __name__ == "__main__":
    main()
