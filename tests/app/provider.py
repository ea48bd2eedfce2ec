"""An OpenID provider on this machine: discovery, authorization code with PKCE, token, keys. Whoever asks for a name gets it; the rest is the protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

__all__ = ["CLIENT", "SECRET", "Provider", "provider"]

CLIENT, SECRET = "loopwright", "a secret of this test"


@dataclass
class Provider:
    """What it was asked and what it says; a test may spoil ``claims`` and ``signer``."""

    address: str
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    signer: RSAKey | None = None
    """Signs instead of the key that is published."""
    claims: dict[str, Any] = field(default_factory=dict)
    """Over those that it says by itself."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.address, "authorization_endpoint": f"{self.address}/authorize", "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/jwks", "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
        }  # fmt: skip

    def token(self, form: dict[str, str], basic: str) -> dict[str, Any] | None:
        """For a code that was given to this client, once, with the verifier of its challenge."""
        asked = self.codes.pop(form.get("code", ""), None)
        shown = (
            base64.b64decode(basic.removeprefix("Basic ")).decode()
            if basic
            else f"{form.get('client_id')}:{form.get('client_secret')}"
        )
        made = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if asked is None or shown.replace("+", " ") != f"{CLIENT}:{SECRET}" or made != asked["code_challenge"]:
            return None
        now = int(time.time())
        claims = {
            "iss": self.address, "aud": CLIENT, "sub": asked["who"], "email": asked["who"], "email_verified": True,
            "iat": now, "exp": now + 600, "nonce": asked["nonce"], **self.claims,
        }  # fmt: skip
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.signer or self.key)
        return {"access_token": secrets.token_hex(8), "token_type": "Bearer", "expires_in": 600, "id_token": signed}


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            told = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/.well-known/openid-configuration":
                self._json(here.discovery())
            elif parts.path == "/jwks":
                self._json({"keys": [here.key.as_dict(private=False)]})
            elif parts.path == "/authorize":
                self._page(told)
            elif parts.path == "/consent":
                code = secrets.token_hex(8)
                here.codes[code] = told
                self.send_response(302)
                self.send_header("Location", f"{told['redirect_uri']}?{urlencode({'code': code, 'state': told['state']})}")
                self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._json(here.token(form, self.headers.get("Authorization", "")) or {"error": "invalid_grant"})

        def _page(self, told: dict[str, str]) -> None:
            people = ("anna@example.org", "eve@example.org")
            links = [f'<a href="/consent?{urlencode({**told, "who": one})}">{one}</a>' for one in people]
            self._send(" ".join(links).encode(), "text/html")

        def _json(self, told: dict[str, Any]) -> None:
            self._send(json.dumps(told).encode(), "application/json", 400 if "error" in told else 200)

        def _send(self, data: bytes, kind: str, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *told: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here = Provider(address=f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
