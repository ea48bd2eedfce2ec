"""The front sends what Streamlit has, byte for byte, and changes its page in two places only."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest
from streamlit.file_util import get_static_dir

from app.front import Front, written

HOME = Path(get_static_dir())
INDEX = (HOME / "index.html").read_text(encoding="utf-8")


async def behind(scope, receive, send) -> None:
    """A page that is sent in two pieces, and what was asked of it."""
    packed = any(name == b"accept-encoding" for name, _ in scope["headers"])
    kind = b"text/plain" if scope["path"] == "/plain" else b"text/html; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", b"1"), (b"etag", b"x"), (b"x-packed", str(packed).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece, more in ((INDEX[:100], True), (INDEX[100:], False)):
        await send({"type": "http.response.body", "body": piece.encode(), "more_body": more})


def answered(path: str, method: str = "GET", **headers: str) -> tuple[dict[bytes, bytes], bytes]:
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    told = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(Front(behind)({"type": "http", "method": method, "path": path, "headers": told}, None, send))
    return dict(sent[0]["headers"]), b"".join(one.get("body", b"") for one in sent[1:])


@pytest.mark.parametrize("name", ["js/protobuf.*.js", "css/index.*.css"])
def test_a_file_is_the_one_on_disk_packed_for_who_can_unpack(name: str) -> None:
    [path] = [one for one in (HOME / "static").glob(name) if one.name in INDEX]
    address = f"/static/{path.parent.name}/{path.name}"
    headers, body = answered(address, accept_encoding="gzip, br")
    assert (headers[b"content-encoding"], gzip.decompress(body)) == (b"gzip", path.read_bytes())
    assert int(headers[b"content-length"]) == len(body) < path.stat().st_size / 2
    assert b"immutable" in headers[b"cache-control"]
    headers, body = answered(address)
    assert b"content-encoding" not in headers
    assert body == path.read_bytes()


@pytest.mark.parametrize("path", ["/static/js/../index.html", "/static/js/none.js", "/app/static/icon.png", "/plain"])
def test_everything_else_is_streamlits(path: str) -> None:
    headers, body = answered(path, accept_encoding="gzip")
    assert headers[b"etag"] == b"x"
    assert body == INDEX.encode()
    assert headers[b"x-packed"] == b"True"


def test_the_page_is_streamlits_with_our_fonts_and_where_to_connect() -> None:
    headers, body = answered("/cycles", accept="text/html,*/*", accept_encoding="gzip")
    page = body.decode()
    assert page == written(INDEX)
    assert (int(headers[b"content-length"]), headers[b"x-packed"]) == (len(body), b"False")
    assert b"etag" not in headers, "of another text"
    assert "SourceSans" in INDEX
    assert "SourceSans" not in page
    assert page.count("app/static/inter-latin") == 2
    assert page.index("BACKEND_BASE_URL") < page.index('type="module"'), "before the modules run"
    assert any("BACKEND_BASE_URL" in one.read_text() for one in (HOME / "static/js").glob("index.*.js")), (
        "they still ask for it"
    )
    assert answered("/cycles", "HEAD", accept="text/html")[0][b"etag"] == b"x"
