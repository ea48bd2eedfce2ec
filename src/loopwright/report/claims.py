"""From declared fields to claims for one audience: each a value of the record, a named person's statement, or the plain word that it is open.

The projection comes first: what an audience may not see is dropped before any fact is asked for, so it can't be shown, counted or
embedded. A human field never gets a value by itself, and no blank is silent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopwright.ledger.answers import Answer, content, standing
from loopwright.ledger.fold import LoopState
from loopwright.ledger.names import name_of
from loopwright.ledger.principals import demonstration
from loopwright.report import document as doc
from loopwright.report.declaration import Declaration, FieldSpec, Labels, NotApplicable
from loopwright.report.evidence import EvidenceIndex
from loopwright.report.facts import Fact
from loopwright.report.law import Law, due_date
from loopwright.report.vocabulary import Vocabulary
from loopwright.types import Digest, digest_value

__all__ = ["Subject", "claims_of", "projected", "seen_digest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The record that claims are made from, and what they are about."""

    root: Path
    state: LoopState
    facts: Mapping[str, Fact]
    about: str
    """A cycle, an incident, or ``loop``."""
    law: Law
    words: Vocabulary


def projected(declaration: Declaration, audience: str) -> Declaration:
    """The document as this audience knows it: fields of others, and sections of which nothing is left, are not in it."""
    sections = []
    for section in declaration.sections:
        fields = tuple(one.seen_by(audience) for one in section.fields if audience in (one.audience or declaration.audiences))
        if fields:
            sections.append(section.model_copy(update={"fields": fields}))
    return declaration.model_copy(update={"sections": tuple(sections)})


def seen_digest(field: FieldSpec, facts: Mapping[str, Fact]) -> Digest:
    """Identity of the facts that a person sees beside a field: what a confirmation is about. Other facts, and it no longer counts."""
    return digest_value({path: facts[path].value for path in field.query})


def claims_of(declaration: Declaration, labels: Labels, subject: Subject, index: EvidenceIndex) -> tuple[doc.Section, ...]:
    """All claims of a projected declaration, in order; what they stand on is noted in ``index``."""
    maker = _Maker(declaration, labels, subject, index)
    return tuple(
        doc.Section(
            id=section.id,
            ref=section.ref,
            part=labels.parts[section.part] if section.part else "",
            title=labels.sections[section.id],
            claims=tuple(maker.claim(field) for field in section.fields),
        )
        for section in declaration.sections
    )


class _Maker:
    """Makes the claims of one document."""

    def __init__(self, declaration: Declaration, labels: Labels, subject: Subject, index: EvidenceIndex) -> None:
        self.declaration, self.labels, self.subject, self.index = declaration, labels, subject, index

    def claim(self, field: FieldSpec) -> doc.Claim:
        """One field's claim."""
        answer = self._answer(field)
        rule = self._inapplicable(field)
        facts = () if rule else tuple(self._facts(field, answer.field if answer else None))
        statement = self._statement(answer) if answer else None
        state, reason, kept = (
            ("not applicable", self.labels.na[rule.reason], None) if rule else self._state(field, facts, answer, statement)
        )
        words = self.labels.fields[field.id]
        return doc.Claim(
            id=field.id,
            ref=field.ref,
            label=words.label,
            help=words.help,
            source=field.source,
            state=state,
            facts=facts,
            statement=kept.model_copy(update={"evidence": self.index.of_answer(answer)}) if kept and answer else None,
            reason=reason,
            grounds=self.index.of_fact(self.subject.facts[rule.when]) if rule else (),
            owner=field.owner or self.declaration.owner,
            due=self._due(field) if state in {"draft", "not provided"} else None,
        )

    def _answer(self, field: FieldSpec) -> Answer | None:
        """What a person said to this field, else to the item of the profile that it asks for: said once, it answers every document.

        A field that the record answers takes nothing of it but that it does not apply: the item's words are its value already.
        """
        found = (standing(self.subject.state.acts, item, self.subject.about) for item in (field.id, *field.query[:1]))
        answer = next((answer for answer in found if answer is not None), None)
        return answer if field.source != "auto" or (answer and answer.state == "not-applicable") else None

    def _state(
        self, field: FieldSpec, facts: tuple[doc.FactShown, ...], answer: Answer | None, statement: doc.Statement | None
    ) -> tuple[doc.State, str, doc.Statement | None]:
        """State, reason, and the statement that goes with it."""
        has_value = bool(facts) and facts[0].path == field.shown.query[0]
        if field.source == "auto" and has_value:
            return "value", "", None
        open_state: doc.State = "draft" if facts and field.source == "auto+human" else "not provided"
        if answer is None or statement is None:
            return open_state, "", None
        if answer.digest is not None and statement.text is None and not statement.files:
            return open_state, self.subject.words.say("erased", entry=answer.index, by=statement.by), None
        if answer.state == "not-applicable":
            return "not applicable", "", statement
        if answer.state == "confirmed" and answer.confirms != seen_digest(field, self.subject.facts):
            return open_state, self.subject.words.say("changed_since", entry=answer.index, by=statement.by), None
        return "statement", "", statement

    def _inapplicable(self, field: FieldSpec) -> NotApplicable | None:
        """The rule by which the record itself says that it does not apply."""
        return next((rule for rule in field.na if self.subject.facts[rule.when].value is True), None)

    def _facts(self, field: FieldSpec, said: str | None) -> Iterator[doc.FactShown]:
        """What the record has of them, but of ``said``, whose words are the statement; the first is shown as the field declares."""
        shown = field.shown
        for path in shown.query:
            fact = self.subject.facts[path]
            if fact.value is None or path == said:
                continue
            first = path == shown.query[0]
            show = (shown.show if first else None) or self.subject.words.shown(path)
            yield doc.FactShown(
                path=path,
                label=self.subject.words.fact(path),
                show=show,
                value=self._worded(fact.value, show),
                unit=(field.unit if first else None) or fact.unit,
                digits=shown.digits if first else None,
                method=self.subject.words.method(fact.method),
                evidence=self.index.of_fact(fact),
            )

    def _worded(self, value: Any, show: str) -> Any:
        """A table with the words of its columns beside their keys."""
        if show != "table" or not isinstance(value, Mapping):
            return value
        return {**value, "heads": [self.subject.words.column(key) for key in value["columns"]]}

    def _statement(self, answer: Answer) -> doc.Statement:
        principal = self.subject.state.roster.holdings[answer.key].principal
        words = content(self.subject.root, answer)
        kind = "not-applicable" if answer.state == "not-applicable" else answer.state
        return doc.Statement(
            kind=kind,  # type: ignore[arg-type]  # the log's schema holds it
            by=name_of(self.subject.root, principal),
            key=answer.key,
            note=self.subject.words.say("demonstration") if demonstration(principal) else "",
            at=answer.answered_at,
            version=answer.version,
            about=answer.about,
            text=(words.reason or words.text) if words else None,
            files=tuple(
                doc.NamedFile(name=f.name, media_type=f.media_type, digest=f.digest, bytes=f.bytes) for f in words.files
            )
            if words
            else (),
            evidence=(),
        )

    def _due(self, field: FieldSpec) -> doc.Due:
        name = field.due or self.declaration.due
        rule = self.subject.law.due[name]
        start = self.subject.facts[rule.start].value if rule.start else None
        return doc.Due(rule=name, label=self.subject.words.of(rule.label), date=due_date(rule, start))
