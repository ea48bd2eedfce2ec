"""One question over the wire, and everything that may come back instead of an answer.

The vendor's client makes the request. Its own habits are switched off where they would hide something: retries (they are
counted elsewhere), redirects, keys and proxies from the environment, answers of any size.
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any

from loopwright.endpoint.cache import Answer, Question
from loopwright.errors import InfraError, IntegrityError, PhaseError, PluginError
from loopwright.external import Endpoint

__all__ = ["Client", "Passing"]

_NEXT = "`loopwright run` goes on: what was answered is kept"
_PASSING = frozenset((408, 409, 425, 429))
_LONGEST = 120.0
"""Seconds that a server may ask for by ``Retry-After``."""


class Passing(Exception):  # no error of the program: it says that asking again may help
    """It may go better the next time."""

    def __init__(self, said: str, wait: float = 0.0) -> None:
        super().__init__(said)
        self.wait = wait
        """Seconds that the server asks for; every other request is to wait as well."""


class Client:
    """Asks one endpoint; may be shared by threads."""

    def __init__(self, endpoint: Endpoint, key: str | None) -> None:
        try:
            import httpx2  # the HTTP client of openai
            import openai  # late: a second of imports, and an extra
        except ImportError as error:
            raise PluginError(
                "a model elsewhere is asked by the package openai", "pip install 'loopwright[endpoint]'"
            ) from error
        for name in ("openai", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)  # nothing in the environment makes it tell more
        self._openai, self._endpoint, self._key = openai, endpoint, key
        self._http = httpx2.Client(
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(),
            limits=httpx2.Limits(max_connections=endpoint.concurrency),
            timeout=endpoint.timeout_seconds,
            headers={"accept-encoding": "identity"},
            event_hooks={"response": [self._bounded]},
        )
        self._client = openai.OpenAI(
            api_key=key or "none", organization="", project="", base_url=endpoint.url, max_retries=0, http_client=self._http
        )

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def ask(self, question: Question) -> Answer:
        """The answer.

        Raises:
            Passing: busy, broken, silent, or half an answer.
            IntegrityError: another model answered.
            PhaseError: the request is refused, or the answer is none that could be used.
        """
        with self._told():
            raw = self._client.chat.completions.with_raw_response.create(
                model=self._endpoint.model,
                messages=[{"role": "user", "content": question.text}],
                temperature=question.temperature,
                extra_body=self._parameters(question),
            )
        return self._read(raw.content)

    def _parameters(self, question: Question) -> dict[str, int]:
        seed = {"seed": question.seed % 2**31} if self._endpoint.seeded else {}
        return {self._endpoint.token_limit: question.max_tokens, **seed}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The vendor's errors as ours; what a server wrote is shown in part, quoted, and without the key."""
        try:
            yield
        except self._openai.APIStatusError as error:
            self._status(error.response.status_code, error.response)
        except (self._openai.APITimeoutError, TimeoutError):
            raise Passing(f"no answer within {self._endpoint.timeout_seconds:g} s") from None
        except self._openai.APIConnectionError as error:
            raise Passing(f"the connection failed: {self._quoted(error.__cause__ or error)}") from None

    def _status(self, code: int, response: Any) -> None:
        if code in _PASSING or code >= 500:
            raise Passing(f"status {code}", _asked_to_wait(response.headers.get("retry-after", "")))
        if 300 <= code < 400:
            where = self._quoted(response.headers.get("location", ""))
            raise PhaseError(
                f"{self._endpoint.url} sends its callers on to {where}; that is not followed",
                "nobody said that the key and the prompts may go there: put the right url into loop.yaml",
            )
        raise PhaseError(f"{self._endpoint.url} refuses the request: status {code}, {self._quoted(response.text)}", _NEXT)

    def _bounded(self, response: Any) -> None:
        """Hook of every response before its body is read."""
        if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise InfraError(f"{self._endpoint.url} answers compressed, which was not asked for", "mend the server")
        from loopwright.endpoint.bounded import bounded  # late, as the client itself

        response.stream = bounded(response.stream, self._endpoint)

    def _read(self, body: bytes) -> Answer:
        """Strict about what is used, deaf to the rest."""
        try:
            said = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Passing(f"the answer is no JSON: {self._quoted(error)}") from None
        if not isinstance(said, dict):
            raise Passing("the answer is no object")
        self._same_model(said.get("model"))
        tokens_in, tokens_out = self._usage(said.get("usage"))
        try:
            text = said["choices"][0]["message"].get("content") or ""
        except (LookupError, TypeError, AttributeError):
            raise Passing("the answer has no choice with a message") from None
        if not isinstance(text, str):
            raise Passing("the answer's content is no text")
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return Answer(text=whole, model=said["model"], tokens_in=tokens_in, tokens_out=tokens_out)

    def _same_model(self, name: Any) -> None:
        asked = self._endpoint
        if name == asked.model or name in asked.aliases:
            return
        raise IntegrityError(
            f"{asked.url} was asked for the model {asked.model!r} and answers as {self._quoted(name)}",
            "find out which model it is; only where it's the same, name that under `aliases` of the endpoint",
        )

    def _usage(self, usage: Any) -> tuple[int, int]:
        counts = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
        known = [count for count in counts if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**31]
        if len(known) == 2:
            return known[0], known[1]
        if self._endpoint.price is None:
            return 0, 0
        raise PhaseError(
            f"{self._endpoint.url} does not say how many tokens an answer took: what it costs cannot be known",
            "take the `price` out of loop.yaml where it costs nothing, or ask a server that counts",
        )

    def _quoted(self, said: object) -> str:
        text = str(said) if self._key is None else str(said).replace(self._key, "KEY")
        return ascii(text[:200])


def _asked_to_wait(said: str) -> float:
    """Seconds in a ``Retry-After``, as a number or as a date."""
    with suppress(ValueError):
        return min(max(0.0, float(said)), _LONGEST)
    with suppress(ValueError, TypeError):
        return min(max(0.0, parsedate_to_datetime(said).timestamp() - time.time()), _LONGEST)
    return 0.0
