"""`loopwright app`: Streamlit over one workspace or a folder of them, on the loopback address unless a sign-in is set up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from loopwright.errors import InfraError, LoopwrightError, UsageError
from loopwright.workspace import template

__all__ = ["serve"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(root: Path, port: int, address: str = _LOOPBACK[0], secrets: Path | None = None, headers: str | None = None) -> None:
    """Serve the dashboard until interrupted.

    Args:
        root: The workspace, or a folder with workspaces.
        port: Where to listen.
        address: On which address. Another than this machine's own needs a sign-in; a page that is served without one shows nothing.
        secrets: Streamlit's secrets file with the section ``[auth]`` (OpenID Connect).
        headers: JSON, header to name (``{"X-Forwarded-Email": "email"}``), of a proxy in front that signs people in and lets nobody else in.

    Raises:
        UsageError: other machines are to be served and nobody has to sign in.
        InfraError: the server ended by itself, for example since the port is taken.
    """
    if address not in _LOOPBACK and not (secrets or headers):
        raise UsageError(
            f"without a sign-in the dashboard serves this machine alone, not {address}",
            "set up OpenID Connect (--secrets) or a trusted proxy (--trust-header), or leave --address out",
        )
    _fill(root)
    app = template("app") / "asgi.py"
    options = {
        "server.address": address,
        "server.port": str(port),
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
        **({"secrets.files": str(secrets.resolve())} if secrets else {}),
        **({"server.trustedUserHeaders": headers} if headers else {}),
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = [sys.executable, "-m", "app.serve", "run", str(app), *flags, "--", str(root)]
    environment = {**os.environ, "LOOPWRIGHT_WORKSPACE": str(root)}
    whom = "on this machine only: nobody has to sign in" if address in _LOOPBACK else "to whoever signs in"
    sys.stderr.write(f"http://{address}:{port} shows {root.name} (Ctrl-C ends it; {whom})\n")
    with subprocess.Popen(command, env=environment, cwd=app.parent.parent) as server:  # our own command line
        ended = _ends_with(server)
        try:
            code = server.wait()
        except KeyboardInterrupt:
            return
    if code and not ended:
        raise InfraError(f"the dashboard ended with code {code}", f"is port {port} taken? `loopwright app --port {port + 1}`")


def _ends_with(server: subprocess.Popen[bytes]) -> list[int]:
    """Whoever ends this process ends the server; the signals that came."""
    came: list[int] = []

    def end(number: int, _: object) -> None:
        came.append(number)
        server.terminate()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
    return came


def _fill(root: Path) -> None:
    """Bring the index up before anybody waits for a page; what is wrong with the record the pages say."""
    from loopwright.index import Index

    try:
        with Index.open(root):
            pass
    except LoopwrightError as error:
        sys.stderr.write(f"{error.message}\n")
