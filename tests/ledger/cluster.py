"""A real PostgreSQL server for the tests: a cluster of its own in a temporary folder, stopped and removed at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

PASSWORD = r"se:cr\et"


def binaries() -> Path | None:
    """Where the server's programs are: Debian keeps them off PATH, a folder a version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    return Path(on_path).parent if (on_path := shutil.which("initdb")) else None


def _server_user() -> dict[str, object]:
    """postgres refuses to run as root."""
    if os.geteuid():
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    chosen = names.get("postgres") or names["nobody"]
    return {"user": chosen.pw_uid, "group": chosen.pw_gid, "extra_groups": []}


class Cluster:
    """A server that was started, and how to reach it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs, self.port = folder, programs, free_port()
        self.data = folder / "data"
        self.user = _server_user()

    def run(self, program: str, *arguments: str) -> str:
        command = [str(self.programs / program), *arguments]
        log = self.folder / "commands.log"  # a file and no pipe: the server that pg_ctl starts would keep a pipe open
        with log.open("ab") as output:
            done = subprocess.run(command, check=False, stdout=output, stderr=output, cwd="/", **self.user)  # type: ignore[arg-type]
        assert done.returncode == 0, log.read_text()[-2000:]
        return log.read_text()

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        told = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder)}
        options = " ".join(f"-c {name}={value}" for name, value in {**told, **(settings or {})}.items())
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "server.log"), "-w", "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        self.run("pg_ctl", "-D", str(self.data), "-m", how, "-w", "stop")

    def url(self, schema: str, *, more: str = "") -> str:
        return f"postgresql+pg8000://loop@127.0.0.1:{self.port}/postgres?schema={schema}{more}"

    def password_line(self) -> str:
        escaped = PASSWORD.replace("\\", r"\\").replace(":", r"\:")
        return f"# a comment\n127.0.0.1:{self.port}:*:loop:{escaped}\n"


@contextmanager
def cluster(programs: Path, *, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Make and start a server; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="loopwright-pg-"))
    made = Cluster(folder, programs)
    secret = folder / "password"
    secret.write_text(PASSWORD)
    if made.user:
        for path in (folder, secret):
            os.chown(path, made.user["user"], made.user["group"])  # type: ignore[arg-type]
    try:
        rules = ("--auth=scram-sha-256", f"--pwfile={secret}", "--username=loop", "--encoding=UTF8", "--locale=C")
        made.run("initdb", "-D", str(made.data), "--no-sync", *rules)
        made.start(settings)
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
