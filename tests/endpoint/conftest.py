"""A real model behind an OpenAI-compatible server, and a proxy in front of it that does what it's told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loopwright.endpoint import Desk, Question
from loopwright.external import Endpoint
from tests.endpoint.proxy import Proxy
from tests.endpoint.server import NAME, make_model, served


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(make_model(tmp_path_factory.mktemp("llama"))) as url:
        yield url


@pytest.fixture
def proxy(model_server: str) -> Iterator[Proxy]:
    proxy = Proxy(model_server)
    yield proxy
    proxy.close()


@pytest.fixture
def endpoint(proxy: Proxy) -> Callable[..., Endpoint]:
    """``endpoint(**changes)``: the proxy's, asked by two at once."""
    plain = {"url": proxy.url, "model": NAME, "concurrency": 2, "retries": 2, "timeout_seconds": 20.0}
    return lambda **changes: Endpoint(**{**plain, **changes})


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Desk(root=tmp_path / "lab", scratch=scratch)


@pytest.fixture
def questions() -> Callable[..., list[Question]]:
    """``questions(count)``: so many different ones."""

    def made(count: int, **changes: Any) -> list[Question]:
        return [
            Question(**{"text": f"say {place}", "seed": place, "temperature": 0.8, "max_tokens": 4, **changes})
            for place in range(count)
        ]

    return made
