"""The app as `loopwright app` serves it, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["serving", "started", "until_it_answers"]


@contextmanager
def started(command: list[str], cwd: Path, log: Path, port: int) -> Iterator[str]:
    """Where a command serves the app, for the length of a ``with`` block."""
    with log.open("a") as file, subprocess.Popen(command, cwd=cwd, stdout=file, stderr=file) as server:
        try:
            until_it_answers(port, server, log.read_text)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@contextmanager
def serving(repository: Path, root: Path, log: Path, port: int) -> Iterator[str]:
    """The checkout's app over one workspace. A traceback in what it says fails the test."""
    app = str(repository / "app/asgi.py")
    command = [sys.executable, "-m", "app.serve", "run", app, f"--server.port={port}", "--", str(root)]
    with started(command, repository, log, port) as address:
        yield address
    assert "Traceback" not in log.read_text()


def until_it_answers(port: int, server: subprocess.Popen[Any], said: Callable[[], str]) -> None:
    """Wait up to two minutes; ``said`` is read where it fails."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert server.poll() is None, said()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(said())
