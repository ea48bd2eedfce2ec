"""The driver as a job of a Ray cluster: one at a time for a loop, attached to when it runs already.

The job's id is ``<loop>-<cycle>-<attempt>``. Ray refuses a second job of one id, and the workspace's lease would refuse its
driver (exit 7); both together make a second launch harmless. What a job has done is told by the record alone: jobs are
lost with the head of a cluster.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.errors import InfraError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

__all__ = ["driver_command", "submit"]

_RUNS = {"PENDING", "RUNNING"}
_PATIENCE = 60.0
"""Seconds that a cluster gets to come up."""
_ANSWERS = "case $code in 4|6) exit 0;; *) exit $code;; esac"
"""4 = waits for a person, 6 = halted: answers, not failures."""


def driver_command(root: Path) -> str:
    """What the job runs on the head: this interpreter's ``loopwright run`` (a bare ``python`` may lack everything)."""
    run = shlex.join([sys.executable, "-m", "loopwright", "run", "--workspace", str(root)])
    return f"bash -c {shlex.quote(f'{run}; code=$?; {_ANSWERS}')}"


def submit(address: str | None, name: str, command: str) -> tuple[str, bool]:
    """The job that runs the loop, and whether it ran already.

    Args:
        address: the cluster's dashboard, ``http://HOST:8265``; None: ``RAY_API_SERVER_ADDRESS`` or a cluster of this host.
        name: loop and cycle; attempts are counted from what the cluster knows.
        command: the entrypoint.

    Raises:
        InfraError: the cluster does not answer, or refuses the token.
    """
    client = _client(address)
    own = re.compile(re.escape(name.rpartition("-")[0]) + r"-c\d{4,}-(\d+)")
    try:
        jobs: list[Any] = list(client.list_jobs())
        running = [job for job in jobs if own.fullmatch(job.submission_id or "") and job.status.value in _RUNS]
        if running:
            return running[0].submission_id, True
        attempt = 1 + max((_attempt(job, name) for job in jobs), default=0)
        return _patiently(client, command, f"{name}-{attempt}"), False
    except (RuntimeError, ConnectionError) as error:
        said = str(error).strip().partition("\n")[0]
        hint = "is the token right (RAY_AUTH_TOKEN_PATH, mode 0600)?"
        raise InfraError(f"the Ray cluster refused the job: {said}", f"`ray status` tells how it is; {hint}") from error


def _patiently(client: JobSubmissionClient, command: str, job: str) -> str:
    """A cluster that is only just up has no agent yet, and says so."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return client.submit_job(entrypoint=command, submission_id=job, entrypoint_num_cpus=0)
        except RuntimeError as error:
            if "try again later" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(1)


def _client(address: str | None) -> JobSubmissionClient:
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # before Ray reads it
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except (AuthenticationError, RuntimeError, ConnectionError, ValueError) as error:
        said = str(error).strip().partition("\n")[0]
        raise InfraError(
            f"no Ray cluster answers: {said}", "--address http://HOST:8265, and RAY_AUTH_TOKEN_PATH for its token"
        ) from error


def _attempt(job: Any, name: str) -> int:
    found = re.fullmatch(re.escape(name) + r"-(\d+)", job.submission_id or "")
    return int(found[1]) if found else 0
