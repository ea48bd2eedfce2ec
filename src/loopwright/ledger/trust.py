"""Whom a reader of the record trusts, and what that says about it: witnesses, checkpoints the reader kept, time stamps.

None of this comes from the log. A log whose owner holds every key can be cut, or written anew from the start, without a
fault to be found in it; only what others signed or kept makes that evident.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from loopwright.errors import UsageError
from loopwright.ledger.audit import Finding
from loopwright.ledger.cosignature import Cosignature, WitnessKey, cosignatures, read_key
from loopwright.ledger.merkle import CompactRange, leaf_hash
from loopwright.ledger.note import Checkpoint, read_text, split_note
from loopwright.ledger.tiles import Entries, bundles_in, read_files

__all__ = ["STAMPS", "Standing", "Trust", "fit", "load_trust", "roots_of", "stamped", "standing", "witnessed"]

STAMPS = "timestamps"
"""Below ``ledger/``, and in a bundle: ``SIZE.tsr``, the DER response of an authority for the checkpoint of that size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A reader's own policy."""

    witnesses: tuple[WitnessKey, ...] = ()
    quorum: int = 0
    """So many of them must have cosigned a checkpoint for it to count as witnessed; 0: nobody was named."""
    kept: tuple[Checkpoint, ...] = ()
    """Checkpoints that the reader has from elsewhere; the log must continue each of them."""
    authorities: tuple[Path, ...] = ()
    """Certificates of time-stamping authorities (PEM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the reader's trust says about a published log."""

    findings: tuple[Finding, ...]
    witnessed: int
    """Entries below the largest checkpoint that a quorum cosigned; what comes after is the log's word alone."""
    cosignatures: tuple[tuple[int, Cosignature], ...]
    """Size of the checkpoint, and who signed it when."""
    stamps: tuple[Mapping[str, Any], ...] = ()
    """``size``, ``time``, ``authority`` of every valid time stamp."""


def load_trust(
    policy: Path | None, keys: Sequence[str], quorum: int | None, kept: Sequence[Path], authorities: Sequence[Path]
) -> Trust:
    """From a policy file (YAML: ``witnesses``, ``quorum``, ``authorities``) and from what was typed; UsageError where it is wrong.

    A key is a verifier key, or a file of them, one a line. A kept checkpoint is a note.
    """
    told = _policy(policy) if policy else {}
    base = policy.parent if policy else Path()
    witnesses = list(dict.fromkeys(_keys([*told.get("witnesses", []), *keys], base)))
    wanted = quorum if quorum is not None else told.get("quorum", 1 if witnesses else 0)
    if not isinstance(wanted, int) or wanted > len(witnesses) or (witnesses and wanted < 1):
        raise UsageError(
            f"a quorum of {wanted} among {len(witnesses)} witnesses cannot be met", "name more witnesses, or a smaller --quorum"
        )
    certificates = [*(base / name for name in told.get("authorities", [])), *authorities]
    for path in certificates:
        if not path.is_file():
            raise UsageError(f"{path} does not exist", "give the time-stamping authority's certificate (PEM)")
    return Trust(witnesses=tuple(witnesses), quorum=wanted, kept=tuple(map(_kept, kept)), authorities=tuple(certificates))


def _policy(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    lists = ("witnesses", "authorities")
    known = isinstance(told, dict) and set(told) <= {*lists, "quorum"}
    if not known or not all(isinstance(told.get(name, []), list) for name in lists):
        raise UsageError(
            f"{path}: the keys are witnesses and authorities (lists) and quorum (a number)", "docs/proof.md has one"
        )
    return told


def _keys(texts: Iterable[Any], base: Path) -> Iterator[WitnessKey]:
    for text in map(str, texts):
        file = base / text if "+" not in text else None
        try:
            lines = file.read_text(encoding="utf-8").splitlines() if file else [text]
            yield from (read_key(line) for line in lines if line.strip())
        except (OSError, ValueError) as error:
            raise UsageError(f"no witness' key: {error}", "give a verifier key or the witness.pub of a witness") from error


def _kept(path: Path) -> Checkpoint:
    try:
        return read_text(split_note(path.read_text(encoding="utf-8"))[0])
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is no checkpoint: {error}", "give a note, such as `loopwright witness show` prints"
        ) from error


def witnessed(notes: Mapping[int, str], where: Mapping[int, str], trust: Trust) -> Standing:
    """Cosignatures in these notes, by size; the notes themselves are those of the tree (somebody else checked that)."""
    findings, found, largest = [], [], 0
    for size, note in sorted(notes.items()):
        valid, broken = cosignatures(note, trust.witnesses)
        found += [(size, one) for one in valid]
        findings += [
            Finding(code="cosignature-invalid", where=where[size], message=f"bears a line that is not what {key.name} signed")
            for key in broken
        ]
        largest = size if trust.quorum and len(valid) >= trust.quorum else largest
    if trust.quorum and not largest:
        problem = f"no checkpoint bears {trust.quorum} of the cosignatures of {', '.join(key.name for key in trust.witnesses)}"
        findings.append(Finding(code="unwitnessed", where="ledger/checkpoint", message=problem))
    return Standing(findings=tuple(findings), witnessed=largest, cosignatures=tuple(found))


def fit(kept: Iterable[Checkpoint], origin: str, roots: Mapping[int, bytes], size: int) -> Iterator[Finding]:
    """Does a log of ``size`` entries, with these roots by size, continue every checkpoint that the reader kept?"""
    for one in kept:
        where = f"kept checkpoint of {one.size} entries"
        if one.origin != origin:
            yield Finding(code="checkpoint-invalid", where=where, message=f"is of {one.origin}, and this log is {origin}")
        elif one.size > size:
            yield Finding(code="rewind", where=where, message=f"the log was longer once: it is published with {size} entries")
        elif roots.get(one.size) != one.root:
            yield Finding(code="fork", where=where, message=f"the first {one.size} entries are not those that were signed then")


def roots_of(entries: Sequence[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """Of the tree at each of these sizes, in one pass, a bundle at a time; ValueError where one is not whole."""
    tree, found, hashes = CompactRange(), {}, map(leaf_hash, entries)
    for size in sorted(size for size in set(sizes) if size <= len(entries)):
        tree = tree.extend(islice(hashes, size - tree.size))
        found[size] = tree.root()
    return found


def _notes(files: Mapping[str, bytes]) -> Iterator[tuple[Checkpoint, str, str]]:
    for name in sorted(files):
        if name == "checkpoint" or name.startswith("checkpoints/"):
            try:
                note = files[name].decode()
                yield read_text(split_note(note)[0]), note, f"ledger/{name}"
            except ValueError:
                continue  # the audit names it


def standing(ledger: Path, trust: Trust) -> Standing:
    """What the reader's trust says about a published log, whose own soundness is `loopwright.ledger.verify`'s business.

    Whoever trusts nobody and kept nothing is told nothing, and no entry is read for it.
    """
    if trust == Trust():
        return Standing(findings=(), witnessed=0, cosignatures=())
    files = read_files(ledger)
    found, entries = list(_notes(files)), Entries(files, bundles_in(files))
    try:
        roots, published = roots_of(entries, [one.size for one, _, _ in found] + [one.size for one in trust.kept]), len(entries)
    except ValueError:  # the audit says which bundle
        roots, published = {}, 0
    sound = [(one, note, where) for one, note, where in found if roots.get(one.size) == one.root]
    origin = found[0][0].origin if found else ""
    seen = witnessed({one.size: note for one, note, _ in sound}, {one.size: where for one, _, where in sound}, trust)
    findings = [*seen.findings, *fit(trust.kept, origin, roots, published)]
    texts = {one.size: split_note(note)[0] for one, note, _ in sound}
    responses = {name: files[name] for name in files if name.startswith(f"{STAMPS}/")}
    seen, wrong = stamped(seen, responses, texts, trust)
    return replace(seen, findings=(*findings, *wrong))


def stamped(
    seen: Standing, responses: Mapping[str, bytes], texts: Mapping[int, str], trust: Trust
) -> tuple[Standing, list[Finding]]:
    """The standing with the time stamps that hold, and what is wrong with others; unchanged where no authority is trusted."""
    if not trust.authorities:
        return seen, []
    from loopwright.ledger.timestamps import check  # late: only who asks for time stamps needs its library

    stamps, wrong = check(responses, texts, trust.authorities)
    return replace(seen, stamps=tuple(stamps)), wrong
