"""A real object store that speaks S3, on loopback: OpenStack Swift with its S3 API, one copy of everything; and a proxy that does harm.

Swift checks signatures, keeps objects on disk with their checksums and speaks multipart uploads, as the installations do that labs
run. Its servers come from Debian (``packages.txt``); where they are missing, tests say so and are skipped, but not in CI.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

from tests.ports import free_port

ACCESS, SECRET = "lab:loop", "only-for-tests"  # no secret: of a server that lives as long as a test
PROGRAMS = (
    "swift-proxy-server",
    "swift-account-server",
    "swift-container-server",
    "swift-object-server",
    "swift-ring-builder",
    "memcached",
)

_COMMON = """\
[DEFAULT]
swift_dir = {folder}
user = {user}
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
devices = {folder}/devices
mount_check = false
log_level = ERROR
[pipeline:main]
pipeline = {pipeline}
[app:{kind}-server]
use = egg:swift#{kind}
account_autocreate = true
allow_account_management = true
"""
_PROXY = """\
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_lab_loop = {secret} .admin
[filter:slo]
use = egg:swift#slo
[filter:bulk]
use = egg:swift#bulk
"""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def swift(folder: Path) -> Iterator[int]:
    """Run the store below ``folder``; yields the port of its S3 endpoint."""
    ports = {kind: free_port() for kind in ("proxy", "account", "container", "object", "memcached")}
    (folder / "devices" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\nswift_hash_path_prefix = tests\n")
    for kind in ("account", "container", "object"):
        builder = str(folder / f"{kind}.builder")
        for words in (["create", "2", "1", "1"], ["add", f"r1z1-127.0.0.1:{ports[kind]}/d1", "1"], ["rebalance"]):
            subprocess.run(["swift-ring-builder", builder, *words], check=True, capture_output=True, cwd=folder)
    with ExitStack() as running:
        account = ["-u", "root"] if os.getuid() == 0 else []
        running.enter_context(
            process(["memcached", "-l", "127.0.0.1", "-p", str(ports["memcached"]), "-m", "16", *account], folder)
        )
        for kind in ("account", "container", "object", "proxy"):
            pipeline = "catch_errors cache bulk s3api tempauth slo proxy-server" if kind == "proxy" else f"{kind}-server"
            said = {"folder": folder, "user": getpass.getuser(), "port": ports[kind], "pipeline": pipeline, "kind": kind}
            text = _COMMON.format(**said) + (
                _PROXY.format(memcached=ports["memcached"], secret=SECRET) if kind == "proxy" else ""
            )
            (folder / f"{kind}-server.conf").write_text(text)
            running.enter_context(process([f"swift-{kind}-server", str(folder / f"{kind}-server.conf")], folder))
        for port in ports.values():
            listens(port, folder)
        yield ports["proxy"]


@contextmanager
def process(command: Sequence[str], folder: Path) -> Iterator[None]:
    """A server, and its end; what it says goes to ``log`` in ``folder``."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int, folder: Path) -> None:
    """Wait until it does."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text()[-2000:])


Harm = Callable[["Request"], bool]
"""Does what it likes with a request whose head was read; True where it has dealt with it."""


@dataclass
class Proxy:
    """Passes requests on, but for those that ``harm`` takes."""

    port: int
    harm: Harm | None = None
    seen: list[str] = field(default_factory=list)
    """Methods and paths, in the order in which they came."""


class Request(BaseHTTPRequestHandler):
    """One request, on its way to ``upstream``. Headers go on as they came: they are signed."""

    protocol_version = "HTTP/1.1"
    upstream, proxy = 0, Proxy(port=0)

    def passed(self) -> None:
        """Deal with it."""
        self.proxy.seen.append(f"{self.command} {self.path}")
        if self.proxy.harm and self.proxy.harm(self):
            self.close_connection = True
            return
        server = self.begun()
        server.send(self.rfile.read(self.length))
        found = server.getresponse()
        body = found.read()
        self.answer(
            f"{found.status} {found.reason}",
            body,
            [(n, v) for n, v in found.getheaders() if n.lower() not in _FRAMING],
            found.getheader("Content-Length"),
        )
        server.close()

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return int(self.headers.get("Content-Length", 0))

    def begun(self) -> HTTPConnection:
        """A connection to the server that has heard the head."""
        server = HTTPConnection("127.0.0.1", self.upstream)
        server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                server.putheader(name, value)
        server.endheaders()
        return server

    def answer(self, status: str, body: bytes, headers: Sequence[tuple[str, str]] = (), length: str | None = None) -> None:
        """Whole, with its length."""
        code, _, words = status.partition(" ")
        self.send_response_only(int(code), words)
        for name, value in (*headers, ("Content-Length", length if self.command == "HEAD" and length else str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


_FRAMING = {"content-length", "transfer-encoding", "connection"}


@contextmanager
def proxy(upstream: int) -> Iterator[Proxy]:
    """Stands before a server."""
    found = Proxy(port=0)
    verbs = {f"do_{verb}": Request.passed for verb in ("GET", "PUT", "POST", "HEAD", "DELETE")}
    handler = type("Bound", (Request,), {"upstream": upstream, "proxy": found, **verbs})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        found.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()


def answers(status: str, code: str, times: int | None = None, method: str = "PUT") -> Harm:
    """An error of S3 in place of an answer, so many times or always."""
    left = count(times or 0, -1)

    def harm(request: Request) -> bool:
        if request.command != method or (times is not None and next(left) <= 0):
            return False
        request.rfile.read(request.length)
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} by the test</Message></Error>".encode()
        request.answer(status, body, [("Content-Type", "application/xml"), ("Connection", "close")])
        return True

    return harm


def cuts_uploads() -> Harm:
    """Half of what is uploaded arrives, then both ends hear nothing more."""

    def harm(request: Request) -> bool:
        if request.command != "PUT":
            return False
        server = request.begun()
        server.send(request.rfile.read(request.length // 2))
        server.close()
        return True

    return harm
