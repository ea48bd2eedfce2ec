"""What only a person can know: facts that are a signed answer to the field of the same name (`loopwright answer org.name --as NAME`).

The words are read from ``answers/`` and held against the digest that was signed; where they were erased, the fact has no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loopwright.ledger.answers import FOLDER, LOOP, content, standing
from loopwright.ledger.statement import Statement
from loopwright.report.facts.binding import BOUND, fact, table
from loopwright.report.facts.reading import Absent, Reader

__all__ = ["ANSWERED", "answer"]

ANSWERED = tuple(
    path
    for area, names in {
        "org": "name address contact size_class representative representative_mandate submitter request_contact rightsholder_contact roles",
        "system": "name type intended_purpose users deployers risk_class user_interface hardware_target interactions integration"
        " input_specification output_specification declared_accuracy eu_database_id interpretation",
        "dataset": "datasheet",
        "risk": "register acceptance tiers",
        "policy": "aup copyright copyright_summary framework qms security model_specification system_prompt update_rule retention complaints",
        "crawl": "agents purposes behaviour period modalities domains robots reservations blocklist",
        "access": "copies_elsewhere alerts encryption reviews evaluators",
        "release": "date eu_date channels downstream_channels forms member_states licence licence_type assets versions status declaration"
        " instructions certificate url summaries",
    }.items()
    for path in (f"{area}.{name}" for name in names.split())
)
"""Facts that are the text of an answer and nothing else."""

_YES, _NO = frozenset(("yes", "ja", "true", "1")), frozenset(("no", "nein", "false", "0"))


def answer(see: Reader, path: str) -> str | None:
    """The words of the standing answer about the document's cycle, else about the loop; None where there are none.

    A file that was given stands with its name and digest.
    """
    told = standing(see.state.acts, path, see.source.cycle or LOOP)
    if told is None or told.state == "not-applicable" or told.digest is None:
        return None
    see.leaf(told.index)
    see.digests.add(told.digest)
    said = content(see.source.root, told)
    if said is None:
        see.absent.add(f"{FOLDER}/{told.digest.removeprefix('sha256:')}.json")
        return None
    files = [f"{one.name} ({one.digest})" for one in said.files]
    return "\n".join(filter(None, (said.text, *files))) or None


def _words(path: str) -> None:
    fact(path, "answered")(lambda see: answer(see, path))


for _path in ANSWERED:
    _words(_path)


def yes(see: Reader, path: str) -> bool:
    """An answer that begins with yes or no."""
    said = answer(see, path)
    word = said.split()[0].strip(".,;:").lower() if said and said.split() else ""
    if word not in _YES | _NO:
        raise Absent(path)
    return word in _YES


for _path in ("log.biometric", "policy.cop_signatory", "gen.published"):
    if _path not in BOUND:
        fact(_path, "answered")(lambda see, path=_path: yes(see, path))  # type: ignore[misc]


@fact("system.reference", "answered")
def _reference(see: Reader) -> str:
    return answer(see, "system.reference") or f"{see.fact('model.name')} {see.fact('model.id')}"


@fact("release.placed", "answered")
def _placed(see: Reader) -> bool:
    """Whether a model is on the market: a date was answered, or the plan in force keeps one as placed; a person said that none applies."""
    if answer(see, "release.eu_date") or answer(see, "release.date"):
        return True
    if see.opened().get("retention"):
        return True
    told = [standing(see.state.acts, path, see.source.cycle or LOOP) for path in ("release.eu_date", "release.date")]
    if any(one is None or one.state != "not-applicable" for one in told):
        raise Absent("release")
    see.leaf(*(one.index for one in told if one))
    return False


@fact("release.retention_until", "derived")
def _retention_until(see: Reader) -> str:
    """The day ten years after placing on the Union market (Art. 18), of an answer in the form YYYY-MM-DD."""
    from datetime import date

    said = str(see.fact("release.eu_date")).strip()[:10]
    try:
        day = date.fromisoformat(said)
    except ValueError as error:
        raise Absent("release.eu_date") from error
    later = day.replace(year=day.year + 10, day=28 if (day.month, day.day) == (2, 29) else day.day)
    return f"{later.isoformat()}T00:00:00Z"


@fact("policy.framework_versions", "answered")
def _framework_versions(see: Reader) -> Any:
    """Every version of that one answer: it stands on these entries, and on no other answer's."""
    versions = _versions(see, [one for one in see.of_kind("answer") if one.predicate["field"] == "policy.framework"])
    return table("version time signer state digest", [row[2:7] for row in versions])


@fact("sign.answers")
def _answers(see: Reader) -> Any:
    """Every version of every answer, in the order of the log; the words stand where they are asked for."""
    return table("field about version time signer state digest leaf", _versions(see, see.of_kind("answer")))


def _versions(see: Reader, answers: Sequence[Statement]) -> list[list[Any]]:
    """A line for each, which is noted as evidence with its words."""
    see.leaf(*(one.index for one in answers))
    see.digests.update(one.predicate["digest"] for one in answers if one.predicate["digest"])
    order = ("field", "about", "version", "answered_at", "", "state", "digest")
    return [[one.predicate[key] if key else one.keyid for key in order] + [one.index] for one in answers]
