"""Models that answer from elsewhere: what the plan says of an endpoint, and by which digests the record knows one.

Nobody here holds the weights of such a model, so its identity is what can be said of it: the name that it answers under and
where it's asked. Its lineage is what a person states (``family``); two endpoints of one family are taken for relatives.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from loopwright.policy import Count, Positive, Section, Whole
from loopwright.types import Digest, digest_bytes, digest_value

__all__ = ["Endpoint", "Judge", "Labeller", "Price", "Prompt"]

_FILE = r"^prompts/[A-Za-z0-9_-][A-Za-z0-9._-]*\.txt$"
_NAME = r"^[^\s\x00-\x1f\x7f]{1,200}$"

PromptFile = Annotated[str, Field(pattern=_FILE)]
ModelName = Annotated[str, Field(pattern=_NAME)]


class Price(Section):
    """What a million tokens cost."""

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    """ISO 4217."""


class Endpoint(Section):
    """A server that speaks OpenAI's chat completions, and how it's asked."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$")]
    """Up to what stands before ``/chat/completions``; plain ``http`` with a key goes to this host alone."""
    model: ModelName
    """The name that is asked for, and that answers must bear."""
    aliases: tuple[ModelName, ...] = ()
    """Other names under which the same model may answer, for example one with a date."""
    family: Annotated[str, Field(min_length=1)] | None = None
    """Where the model comes from, as a person states it: a judge may not share it with the generator. None: its name."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Requests at once, at most."""
    retries: Whole = 5
    """How often one is asked again after 429, a server's error, silence or half an answer."""
    requests_per_minute: Positive | None = None
    timeout_seconds: Positive = 120.0
    """For one answer, from its question to its last byte."""
    max_bytes: Count = 2**20
    """Of one answer as it comes over the wire."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105  # no password
    """How the server calls the most tokens of an answer."""
    seeded: bool = True
    """Whether each row's seed is sent along; some servers refuse it."""
    price: Price | None = None
    max_money: Positive | None = None
    """What one attempt of a phase may cost; it fails when this is spent. The loop's own limit is ``budgets.money``."""
    key_file: Annotated[str, Field(min_length=1)] | None = None
    """The file (mode 0600, outside the workspace) that holds the key; a relative path is below ``$XDG_CONFIG_HOME/loopwright``."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.max_money is not None and self.price is None:
            raise ValueError("max_money needs a price")
        if self.key_file is not None and self.url.startswith("http:") and not _here(self.url):
            raise ValueError("a key goes over https, or to this host alone")
        return self

    @property
    def url_digest(self) -> Digest:
        """Where it's asked, for a record that names no address."""
        return digest_bytes(self.url.rstrip("/").encode())

    @property
    def identity(self) -> Digest:
        """What rows name as their origin: model and address."""
        return digest_value({"external": self.model, "url": self.url_digest})

    @property
    def lineage(self) -> Digest:
        """What its relatives have in common with it."""
        return digest_value({"family": (self.family or self.model).casefold()})

    @property
    def described(self) -> dict[str, str]:
        """For statements and manifests."""
        return {"model": self.model, "url": self.url_digest, "digest": self.identity, "family": self.lineage}


class Judge(Section):
    """A model that has a say in which rows are accepted: only against, and only over what passed every check."""

    endpoint: Endpoint
    prompt: PromptFile = "prompts/judge.txt"
    """Has ``{task}`` and ``{answer}``, and asks for yes or no."""
    prefer: PromptFile = "prompts/prefer.txt"
    """Has ``{task}``, ``{first}`` and ``{second}``, and asks for 1 or 2: by it the judge's taste for its own is measured."""
    equals: Annotated[str, Field(pattern=r"^prompts/[A-Za-z0-9_-][A-Za-z0-9._-]*\.jsonl$")] = "prompts/equals.jsonl"
    """Lines ``{"prompt", "own", "other"}``: answers by the judge's family and by another that people found as good."""
    max_tokens: Count = 16


class Labeller(Section):
    """A model that is asked for a second opinion on judged rows, beside people (`loopwright label`). It decides nothing."""

    endpoint: Endpoint
    prompt: PromptFile = "prompts/label.txt"
    """Has ``{task}`` and ``{answer}``, and asks for right, wrong or unsure."""
    max_tokens: Count = 16


class Prompt(Section):
    """A file below ``prompts/`` as a phase sees it."""

    path: str
    digest: Digest
    text: str


def _here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
