"""DVC's errors, the disk's and those of a dozen clients of remote stores, told as ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from loopwright.errors import InfraError, WorkspaceError

__all__ = ["complaints", "translated"]

_REMOTES = {"aiobotocore", "aiohttp", "asyncssh", "boto3", "botocore", "s3fs", "sshfs"}
"""Whose errors come through DVC as they are."""


@contextmanager
def translated(what: str, *, remote: bool = False) -> Iterator[None]:
    """DVC's errors and the disk's as ours. ``remote``: what is done is the remote's alone, and so is whatever goes wrong with it."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    try:
        yield
    except LockError as error:
        raise WorkspaceError(f"{what}: another dvc command is at work", "wait until it has ended, then run again") from error
    except DvcException as error:
        raise InfraError(f"{what}: {error}", "dvc doctor; dvc status") from error
    except OSError as error:
        problem = f"{what}: {error.strerror} ({error.filename})"
        raise InfraError(problem, "free space or set permissions, then run again") from error
    except Exception as error:
        if not remote and type(error).__module__.partition(".")[0] not in _REMOTES:
            raise
        raise InfraError(
            f"{what}: the remote failed ({type(error).__name__}): {error}",
            "see that it answers (`dvc remote list`), then run again",
        ) from error


@contextmanager
def complaints() -> Iterator[list[str]]:
    """Why files did not arrive: DVC tells it to its log alone."""
    said: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(str(record.exc_info[1] if record.exc_info else record.msg))  # type: ignore[method-assign]
    log = logging.getLogger("dvc_data.hashfile.transfer")
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.ERROR)
    log.propagate = False
    try:
        yield said
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]
