"""`loopwright app`: Streamlit on the loopback address, over one workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from loopwright.errors import InfraError
from loopwright.workspace import template

__all__ = ["serve"]


def serve(root: Path, port: int) -> None:
    """Serve the dashboard until interrupted.

    Raises:
        InfraError: the server ended by itself, for example since the port is taken.
    """
    app = template("app") / "app.py"
    options = {
        "server.address": "127.0.0.1",
        "server.port": str(port),
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = [sys.executable, "-m", "streamlit", "run", str(app), *flags, "--", str(root)]
    environment = {**os.environ, "LOOPWRIGHT_WORKSPACE": str(root)}
    sys.stderr.write(f"http://127.0.0.1:{port} shows {root.name} (Ctrl-C ends it; on this machine only)\n")
    try:
        code = subprocess.run(command, env=environment, cwd=app.parent.parent, check=False).returncode  # our own command line
    except KeyboardInterrupt:
        return
    if code:
        raise InfraError(f"the dashboard ended with code {code}", f"is port {port} taken? `loopwright app --port {port + 1}`")
