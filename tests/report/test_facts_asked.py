"""Every fact of these areas has a question of its own: one that comes without, or whose change nothing shows, is found here."""

from __future__ import annotations

from loopwright.report.facts.registry import names
from tests.report import (
    test_facts_access,
    test_facts_compute,
    test_facts_envelope,
    test_facts_gate,
    test_facts_incident,
    test_facts_log,
    test_facts_monitor,
    test_facts_persons,
)
from tests.report.records import CONSTANT

AREAS = [
    "access",
    "compute",
    "energy",
    "envelope",
    "gate",
    "incident",
    "log",
    "loop",
    "monitor",
    "override",
    "policy",
    "release",
    "risk",
    "sign",
]
TABLES = (
    *(test_facts_access, test_facts_compute, test_facts_envelope, test_facts_gate),
    *(test_facts_incident, test_facts_log, test_facts_monitor, test_facts_persons),
)
WORDS = {
    "release": "assets certificate channels date declaration downstream_channels eu_date forms instructions licence licence_type member_states status"
    " summaries url versions",
    "policy": "aup complaints cop_signatory copyright copyright_summary framework model_specification qms retention security system_prompt update_rule",
    "access": "alerts copies_elsewhere encryption evaluators reviews",
    "risk": "acceptance register tiers",
    "log": "biometric",
}
"""Facts that are the words of a person, whichever: they are asked for all at once, with those of all areas."""


def test_each_fact_of_these_areas_has_one_question() -> None:
    asked = [path for one in TABLES for path in one.QUERIES]
    said = [f"{area}.{name}" for area, some in WORDS.items() for name in some.split()]
    wanted = [path for path in names() if path.split(".")[0] in AREAS]
    assert len(wanted) > 300
    assert sorted([*asked, *said]) == sorted(wanted)


def test_what_no_record_changes_is_little_and_has_a_reason() -> None:
    assert set(CONSTANT) <= {path for one in TABLES for path in one.QUERIES}
    assert len(CONSTANT) <= 13
