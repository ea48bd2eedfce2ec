"""Prompts are files of the workspace, versioned with it: read here, filled in here, and part of who generates and who judges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from loopwright.errors import PlanError
from loopwright.external import Labeller, Prompt
from loopwright.identity import GENERATOR, code_digest, judge_digest, plugin_package
from loopwright.plan import Plan, Section
from loopwright.types import Digest, digest_bytes, digest_value

__all__ = [
    "ENDPOINT",
    "asked_by",
    "fill",
    "first_word",
    "generator_code",
    "generator_prompts",
    "judge_code",
    "judge_prompts",
    "labeller_prompt",
]

ENDPOINT = "loopwright.endpoint"
"""The package that asks; it counts as code of whoever asks by it."""

_MOST = 256 * 1024
_PLACE = re.compile(r"\{([a-z]+)\}")


def generator_prompts(root: Path, plan: Plan) -> tuple[Prompt, ...]:
    """What the generator's endpoint is asked with; nothing where the champion itself answers."""
    endpoint = plan.generator.endpoint
    return () if endpoint is None else (_read(root, plan.generator.prompt, {"prompt"}),)


def judge_prompts(root: Path, plan: Plan) -> tuple[Prompt, ...]:
    """How a judge model is asked for a verdict and for a preference, and the pairs it is asked about; nothing without one."""
    judge = plan.verifier.judge
    if judge is None:
        return ()
    asked = {judge.prompt: {"task", "answer"}, judge.prefer: {"task", "first", "second"}, judge.equals: set[str]()}
    return tuple(_read(root, path, places) for path, places in asked.items())


def labeller_prompt(root: Path, labeller: Labeller) -> Prompt:
    """What a model is asked with for a second opinion."""
    return _read(root, labeller.prompt, {"task", "answer"})


def generator_code(root: Path, plan: Plan) -> Digest:
    """Digest of what makes proposals and models: code, and the prompts where a model elsewhere is asked."""
    return _with(code_digest((*GENERATOR, plugin_package("models", plan.model.name))), generator_prompts(root, plan))


def judge_code(root: Path, plan: Plan) -> Digest:
    """Digest of what decides: code, and the prompts where a model has a say. Another digest is a changed judge."""
    return _with(judge_digest(plan.domain.name, plan.domain.settings, root), judge_prompts(root, plan))


def asked_by(section: Section) -> tuple[str, ...]:
    """What counts as code of a phase besides its own, where its section has prompts: it asks a model elsewhere."""
    return (ENDPOINT,) if getattr(section, "prompts", ()) else ()


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with each ``{name}`` replaced once: what stands in a value is never taken for a place."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), template)


def first_word(text: str) -> str:
    """What an answer that was asked for one word begins with, without marks and in small letters; empty where it has none."""
    found = re.match(r"\W*(\w+)", text)
    return found[1].casefold() if found else ""


def _with(code: Digest, prompts: tuple[Prompt, ...]) -> Digest:
    if not prompts:
        return code
    said = {one.path: one.digest for one in prompts}
    return digest_value({"code": code, "endpoint": code_digest((ENDPOINT,)), "prompts": said})


def _read(root: Path, path: str, places: set[str]) -> Prompt:
    file = root / path
    try:
        if not file.resolve().is_relative_to(root.resolve()) or file.stat().st_size > _MOST:
            raise PlanError(f"{path}: leads out of the workspace, or is larger than 256 KiB", "put a text file there")
        data = file.read_bytes()
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} cannot be read: {error}", "write the prompt and commit it: docs/endpoints.md") from error
    if missing := places - {found[1] for found in _PLACE.finditer(text)}:
        raise PlanError(f"{path} has no {{{min(missing)}}}", "the prompt must say where it goes")
    return Prompt(path=path, digest=digest_bytes(data), text=text)
