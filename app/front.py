"""The front of the server: Streamlit's own files out of memory and packed, and its page without what only costs a visitor time.

A first visit asks for some 130 files. From disk, each is a turn of the server's threads; with the front it is a look into memory, and a third of the
bytes. In the page, a font that is not ours is no longer loaded first, and the browser is told where to connect instead of trying two addresses.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Front", "Part", "part", "warm", "written"]

_TYPES = {"js": b"text/javascript; charset=utf-8", "css": b"text/css; charset=utf-8"}
_YEAR = b"public, immutable, max-age=31536000"
"""Names of files have a digest in them."""
_LINKED = re.compile(r'"\./static/((?:js|css)/[^"]+)"')
_OTHER_FONT = re.compile(r'<link\s+rel="preload"\s+href="[^"]*"\s+as="font"[^>]*>')
_OURS = "".join(
    f'<link rel="preload" href="./app/static/inter-latin-{weight}-normal.woff2" as="font" type="font/woff2" crossorigin>'
    for weight in (400, 600)
)
_CONNECT = '<script>window.__streamlit = {BACKEND_BASE_URL: new URL("./", location.href).href}</script>'
"""Where the page's own files are; by itself it would first try below the address of the page."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of Streamlit's."""

    plain: bytes
    packed: bytes
    """By gzip."""
    mime: bytes


@cache
def _files() -> dict[str, Path]:
    from streamlit.file_util import get_static_dir

    home = Path(get_static_dir()) / "static"
    return {f"{kind}/{path.name}": path for kind in _TYPES for path in (home / kind).glob(f"*.{kind}")}


@cache
def part(name: str) -> Part:
    """One of the files, by its name below ``static/``; KeyError where there is none."""
    data = _files()[name].read_bytes()
    return Part(data, gzip.compress(data, 6, mtime=0), _TYPES[name.partition("/")[0]])


def warm() -> None:
    """Read and pack what every visitor asks for, before somebody does."""
    index = next(iter(_files().values())).parents[2] / "index.html"
    for name in _LINKED.findall(index.read_text(encoding="utf-8")):
        part(name)


def written(index: str) -> str:
    """Streamlit's page as we send it."""
    return _OTHER_FONT.sub(_OURS, index, count=1).replace("<title>", f"{_CONNECT}<title>", 1)


class Front:
    """Middleware: files from memory, and the page rewritten; everything else is Streamlit's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let Streamlit."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        name = scope["path"].partition("/static/")[2]
        if name in _files():
            await _sent(part(name), dict(scope["headers"]), send)
        elif b"text/html" in dict(scope["headers"]).get(b"accept", b""):
            plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]  # what is packed cannot be rewritten
            await self._app({**scope, "headers": plain}, receive, _Page(send))
        else:
            await self._app(scope, receive, send)


async def _sent(found: Part, asked: dict[bytes, bytes], send: Send) -> None:
    told = [
        (b"content-type", found.mime),
        (b"cache-control", _YEAR),
        (b"vary", b"accept-encoding"),
        (b"x-content-type-options", b"nosniff"),
    ]
    body = found.plain
    if b"gzip" in asked.get(b"accept-encoding", b""):
        body = found.packed
        told.append((b"content-encoding", b"gzip"))
    told.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": told})
    await send({"type": "http.response.body", "body": body})


class _Page:
    """Sends on what Streamlit answers; its page, if that is what it is, as a whole and rewritten."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: MutableMapping[str, Any] | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._whole(self._start)

    async def _whole(self, start: MutableMapping[str, Any]) -> None:
        body = written(self._body.decode()).encode()
        of_the_file = {b"content-length", b"etag", b"last-modified"}
        kept = [(name, value) for name, value in start["headers"] if name.lower() not in of_the_file]
        await self._send({**start, "headers": [*kept, (b"content-length", str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})


def _is_page(message: Message) -> bool:
    told = {name.lower(): value for name, value in message["headers"]}
    return message["status"] == 200 and told.get(b"content-type", b"").startswith(b"text/html")
