"""What stands between the program and a real server and does it harm: one fault a request, as a test orders them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.endpoint.server import listening


class Proxy:
    """``faults`` are used up, first come first served; ``always`` stays; ``rewrite`` changes a sound answer's text."""

    def __init__(self, target: str) -> None:
        self.target = target.removesuffix("/v1")
        self.faults: list[str] = []
        self.always = ""
        self.rewrite: Callable[[str], str] | None = None
        """From the question's text to the answer's."""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.answered = 0
        self.most = self._now = 0
        """Requests at once."""
        self._lock = threading.Lock()
        self._server = listening(_handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def entered(self, headers: dict[str, str], body: bytes) -> str:
        with self._lock:
            self.times.append(time.monotonic())
            self.asked.append(json.loads(body))
            self.headers.append(headers)
            self._now += 1
            self.most = max(self.most, self._now)
            return self.faults.pop(0) if self.faults else self.always

    def left(self) -> None:
        with self._lock:
            self._now -= 1


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = proxy.entered({name.lower(): value for name, value in self.headers.items()}, body)
            try:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.harm(fault, body)
            finally:
                proxy.left()

        def harm(self, fault: str, body: bytes) -> None:  # noqa: PLR0912  # one line a fault
            match fault:
                case "":
                    self.give(200, self.sound(body))
                    proxy.answered += 1
                case "busy":
                    self.give(429, b"{}", {"Retry-After": "0.3"})
                case "broken":
                    self.give(503, b"upstream says \x1b[31m no")
                case "gone":
                    self.close_connection = True
                    self.connection.close()
                case "slow":
                    time.sleep(1.5)
                    self.give(200, self.sound(body))
                case "half":
                    self.give(200, self.sound(body)[:-40])
                case "cut":
                    self.give(200, self.sound(body)[:-40], {"Content-Length": "9999"})
                    self.close_connection = True
                case "huge":
                    self.endless(b"x" * 65536, 0.0)
                case "drip":
                    self.endless(b" ", 0.2)
                case "packed":
                    self.give(200, b"\x1f\x8b", {"Content-Encoding": "gzip"})
                case "elsewhere":
                    self.give(307, b"", {"Location": f"http://localhost:{urlsplit(proxy.url).port}/v1/stolen"})
                case "refused":
                    self.give(401, f"no: {self.headers['Authorization']}".encode())
                case _:
                    name, _, value = fault.partition("=")
                    self.give(200, json.dumps({**json.loads(self.sound(body)), name: json.loads(value)}).encode())

        def sound(self, body: bytes) -> bytes:
            asked = urllib.request.Request(proxy.target + self.path, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(asked, timeout=60) as response:
                found = json.loads(response.read())
            if proxy.rewrite:
                found["choices"][0]["message"]["content"] = proxy.rewrite(json.loads(body)["messages"][0]["content"])
            return json.dumps(found).encode()

        def give(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def endless(self, piece: bytes, pause: float) -> None:
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            for _ in range(4000):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(pause)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler
