"""``cluster/local.yaml`` and its kind: where work runs and with how much, as one frozen value, and the executor it asks for.

A profile changes how fast a loop turns, never what comes out, so it is no part of a phase's key. It is checked as
strictly as the plan: unknown keys, keys given twice, wrong types and impossible values are refused with ``file:line:key``,
the value seen and what is allowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from loopwright.errors import PlanError
from loopwright.runtime import Executor

__all__ = ["IN_PROCESS", "Profile", "load_profile", "open_executor"]

IN_PROCESS = "in-process"
"""The name that needs no file: no Ray, everything in the driver's process."""


def _is_count(value: Any, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_auto_or_count(value: Any) -> bool:
    return value == "auto" or _is_count(value)


def _is_count_or_range(value: Any) -> bool:
    between = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_count, value))
    return _is_count(value) or (between and value[0] <= value[1])


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) and name for name in value)


def _is_labels(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) and text for pair in value.items() for text in pair)


def _rule(check: Callable[[Any], bool], allowed: str) -> dict[str, Any]:
    return {"check": check, "allowed": allowed}


_AUTO = _rule(_is_auto_or_count, "auto or a whole number from 1")
_COUNT = _rule(_is_count, "a whole number from 1")
_LABELS = _rule(_is_labels, "labels of Ray nodes, as name: value")
_YES_NO = _rule(lambda value: isinstance(value, bool), "true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where work runs. Every key of the file is a field here, and the reverse."""

    executor: str = field(default="ray", metadata=_rule(lambda value: value in {"ray", IN_PROCESS}, f"ray or {IN_PROCESS}"))
    """``ray``: worker processes on this machine or a cluster; ``in-process``: everything in the driver's own process."""
    address: str = field(
        default="local",
        metadata=_rule(lambda value: isinstance(value, str) and bool(value), "local, auto, or a running cluster's host:port"),
    )
    """``local`` starts a private Ray on this machine and ends it with the run; anything else joins a running cluster."""
    num_cpus: int | Literal["auto"] = field(default="auto", metadata=_AUTO)
    """CPU slots of the private Ray; ``auto``: what this process may use. Ignored on a running cluster."""
    map_workers: int | Literal["auto"] = field(default="auto", metadata=_AUTO)
    """Processes that sample and evaluate at once; ``auto``: one a CPU slot (one a GPU with ``use_gpu``)."""
    train_workers: int | tuple[int, int] = field(
        default=1, metadata=_rule(_is_count_or_range, "a whole number from 1, or [least, most]")
    )
    """Ranks of the training group. ``[least, most]``: as many as the cluster has room for; when it loses or gains a machine, a
    training goes on from its newest checkpoint with fewer or more. The recipe's ``shards`` fix the batch, and are the most of use."""
    threads: int = field(default=1, metadata=_COUNT)
    """Computing threads of each worker. More may be faster, and moves the last bits of training's numbers."""
    use_gpu: bool = field(default=False, metadata=_YES_NO)
    """One GPU for each rank, and for each map worker: generation and training take turns on them."""
    keep_warm: bool | Literal["auto"] = field(
        default="auto", metadata=_rule(lambda value: value == "auto" or isinstance(value, bool), "auto, true or false")
    )
    """Keep the training group between cycles; ``auto``: yes without GPUs and of a fixed size. A warm group would keep its GPUs."""
    max_failures: int = field(default=2, metadata=_rule(lambda value: _is_count(value, 0), "a whole number from 0"))
    """How often one job may lose a worker and resume before it counts as failed."""
    object_store_mib: int = field(default=100, metadata=_rule(lambda value: _is_count(value, 80), "a whole number from 80"))
    """Memory of the private Ray's object store, MiB."""
    dashboard: bool = field(default=False, metadata=_YES_NO)
    """Ray's own dashboard, on the loopback interface and behind the token."""
    map_labels: Mapping[str, str] = field(default_factory=dict, metadata=_LABELS)
    """Labels of the nodes on which items are sampled and evaluated; none: any node. Needs a running cluster."""
    train_labels: Mapping[str, str] = field(default_factory=dict, metadata=_LABELS)
    """Labels of the nodes on which training runs; none: any node. Needs a running cluster."""
    verify_labels: Mapping[str, str] = field(default_factory=dict, metadata=_LABELS)
    """Labels of the nodes on which candidates run in the sandbox; none: the driver's own host. They neither sample nor train, so
    that what is judged has never been where it is judged: one of these labels has another value in the other two."""
    environment: tuple[str, ...] = field(default=(), metadata=_rule(_is_names, "a list of names of environment variables"))
    """Variables that workers get besides the few they need. Everything else of the driver's environment stays with it."""

    @property
    def warm(self) -> bool:
        """Whether one training group serves many jobs."""
        return not (self.use_gpu or self.elastic) if self.keep_warm == "auto" else bool(self.keep_warm)

    @property
    def judging(self) -> Profile:
        """Where candidates run: one a CPU slot of the nodes that are for it."""
        return Profile(address=self.address, map_labels=self.verify_labels)

    @property
    def elastic(self) -> bool:
        """Whether the training group may change its size; its ranks then hold whole CPU slots, by which Ray counts."""
        return not isinstance(self.train_workers, int)


def load_profile(root: Path, name: str) -> Profile:
    """The profile in the file ``root / name``, or the built-in ``in-process``.

    Raises:
        PlanError: no such file, not YAML, or a key or value that a profile may not have.
    """
    if name == IN_PROCESS:
        return Profile(executor=IN_PROCESS)
    try:
        text = (root / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = ", ".join([IN_PROCESS, *sorted(f"cluster/{path.name}" for path in (root / "cluster").glob("*.yaml"))])
        raise PlanError(
            f"runtime.profile: saw {name!r} ({error}); allowed: {found}", "name one of these in loop.yaml"
        ) from error
    values, lines = _parse(text, name)
    problems = [problem for key, value in values.items() if (problem := _problem(key, value))]
    if not problems and values.get("keep_warm") is True:
        holds = "use_gpu" if values.get("use_gpu") else "a range of train_workers" if _ranges(values) else None
        if holds:
            problems.append(
                ("keep_warm", f"saw true; allowed with {holds}: auto or false (a warm group would keep what it holds)")
            )
    labelled = [key for key in ("map_labels", "train_labels", "verify_labels") if values.get(key)]
    if not problems and labelled and values.get("address", "local") == "local":
        problems.append((labelled[0], "allowed with the address of a cluster; a private Ray is one node without labels"))
    elif not problems and values.get("verify_labels") and (shared := _shared_with_judges(values)):
        told = f"saw {values['verify_labels']!r}, and {shared} {values.get(shared) or 'on any node'}; allowed: a label with different values in both"
        problems.append(("verify_labels", told))
    if problems:
        told = "\n".join(f"{name}:{lines[key]}:{key}: {text}" for key, text in problems)
        raise PlanError(told, f"mend the line; docs and defaults of every key stand in {name} as it is shipped")
    checked: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Profile(**checked)


def _shared_with_judges(values: Mapping[str, Any]) -> str | None:
    """The labels under which work would reach the nodes that judge."""
    judging = values["verify_labels"]
    for key in ("map_labels", "train_labels"):
        labels = values.get(key) or {}
        if not any(labels.get(name, text) != text for name, text in judging.items()):
            return key
    return None


def _ranges(values: Mapping[str, Any]) -> bool:
    return isinstance(values.get("train_workers"), list)


def open_executor(profile: Profile, scratch: Path, preload: Sequence[str] = (), train_preload: Sequence[str] = ()) -> Executor:
    """The executor that a profile asks for. Nothing is started yet: see `Executor.warm`.

    Args:
        profile: where to run.
        scratch: an absolute directory that workers share with the driver; training jobs keep their ``storage`` below it.
        preload: modules that every worker imports before its first work.
        train_preload: modules that training workers import besides.

    Raises:
        PluginError: Ray is asked for and not installed.
        UsageError: the environment is one in which Ray Train cannot be trusted.
    """
    if profile.executor == IN_PROCESS:
        from loopwright.runtime.inprocess import InProcessExecutor

        return InProcessExecutor(threads=profile.threads, device="cuda:0" if profile.use_gpu else "cpu")
    from loopwright.runtime.ray import RayExecutor

    return RayExecutor(profile, scratch, preload, train_preload)


def _parse(text: str, name: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The file's values and the line of each key."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1 if mark else 1}"
        raise PlanError(f"{where}: not YAML: {getattr(error, 'problem', error)}", "mend the line") from error
    if node is None:
        return {}, {}
    if not isinstance(node, yaml.MappingNode):
        raise PlanError(f"{name}:1: saw {values!r}; allowed: keys and values", "start from the profile that is shipped")
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.value in lines:
            raise PlanError(f"{name}:{line}:{key.value}: given twice (first on line {lines[key.value]})", "keep one of them")
        lines[str(key.value)] = line
    return {str(key): value for key, value in values.items()}, lines


def _problem(key: str, value: Any) -> tuple[str, str] | None:
    rules: Mapping[str, Mapping[str, Any]] = {item.name: item.metadata for item in fields(Profile)}
    if key not in rules:
        near = difflib.get_close_matches(key, rules, n=1)
        return key, f"unknown key (saw {value!r}); allowed: {near[0] + '?' if near else ', '.join(rules)}"
    return None if rules[key]["check"](value) else (key, f"saw {value!r}; allowed: {rules[key]['allowed']}")
