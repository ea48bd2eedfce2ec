"""A response that ends: in bytes, and in time. A server that drips one byte a second would never run into a read timeout."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2

from loopwright.errors import InfraError
from loopwright.external import Endpoint

__all__ = ["bounded"]


def bounded(stream: httpx2.SyncByteStream, endpoint: Endpoint) -> httpx2.SyncByteStream:
    """The same stream, which raises InfraError after ``max_bytes`` and TimeoutError after ``timeout_seconds``."""
    return _Bounded(stream, endpoint)


class _Bounded(httpx2.SyncByteStream):  # the client takes nothing that is not of this class
    def __init__(self, stream: httpx2.SyncByteStream, endpoint: Endpoint) -> None:
        self._stream, self._endpoint = stream, endpoint

    def __iter__(self) -> Iterator[bytes]:
        most, until, read = self._endpoint.max_bytes, time.monotonic() + self._endpoint.timeout_seconds, 0
        for piece in self._stream:
            read += len(piece)
            if read > most:
                raise InfraError(
                    f"{self._endpoint.url} sent more than {most} bytes for one answer; the rest was not read",
                    "`max_bytes` of the endpoint sets the limit",
                )
            if time.monotonic() > until:
                raise TimeoutError
            yield piece

    def close(self) -> None:
        self._stream.close()
