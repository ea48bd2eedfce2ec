"""A promotion waits for the witnesses that its policy names; what they saw stands in the record and can be checked from it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loopwright.consent.witnessed import witnessed
from loopwright.errors import IntegrityError, PlanError, WaitingForPerson
from loopwright.ledger.cosignature import cosign, with_lines
from loopwright.ledger.inspection import inspect
from loopwright.ledger.refusals import REFUSED, unbroken
from loopwright.ledger.witness import Witness, keep
from loopwright.policy import Approvals, Witnesses
from tests.ledger.outside import LATER, PHASES, loopwright
from tests.ledger.workshop import Workshop, closing


class Town:
    """A log with one closed cycle and one that is decided, and two witnesses who have seen nothing yet."""

    def __init__(self, place: Path) -> None:
        self.place, self.shop = place, Workshop(place / "lab", place / "keys")
        self.witnesses = [Witness.create(place / name, f"{name}.example.org") for name in ("w1", "w2")]
        self.rule = Witnesses(required=1, known=tuple(str(one.key) for one in self.witnesses))
        self.shop.cycle("c0000", PHASES)
        told = Approvals(witness=self.rule).model_dump(mode="json")
        self.shop.open("c0001", fence=2, parent="c0000", prev="c0000", approvals=told)
        self.decided = [self.shop.phase("c0001", phase, {"action": "promote"}) for phase in LATER][-1]
        self.decided_at = now()

    @property
    def ledger(self) -> Path:
        return self.shop.published

    def obtain(self, required: int = 1, **more: Any) -> dict[str, Any]:
        rule = Witnesses.model_validate({**dict(self.rule), "required": required, **more})
        return witnessed(self.shop.root, rule, self.decided, self.decided_at, now(), "c0001")

    def look(self, number: int = 0) -> None:
        self.shop.ledger.sign_checkpoint()
        told = self.witnesses[number].cosign(self.ledger)
        keep(self.ledger, with_lines(told.note, [told.line]))

    def close(self, told: dict[str, Any] | None) -> set[str]:
        """Promote, telling this of the witnesses; what an outsider finds."""
        said = {**closing("c0001"), **({"witness": told} if told else {})}
        self.shop.ledger.append("close", [], said, role="controller", event="close:c0001")
        self.shop.ledger.sign_checkpoint()
        return {one.code for one in inspect(self.shop.root).findings}


def now(seconds: float = 0.0) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.shop.ledger.close()


def test_only_what_covers_the_decision_is_of_a_named_witness_and_new_counts(town: Town) -> None:
    def waits(saying: str, **more: Any) -> None:
        with pytest.raises(WaitingForPerson, match=saying) as waiting:
            town.obtain(**more)
        assert "loopwright witness cosign" in waiting.value.next_step

    told = town.witnesses[0].cosign(town.ledger)
    keep(town.ledger, with_lines(told.note, [told.line]))
    waits("0 of 1")  # it saw the log before the decision
    town.look()
    [one] = town.obtain()["accepted"]
    assert (one["witness"], one["size"] > town.decided) == ("w1.example.org", True)
    waits("1 of 2", required=2)
    town.look()  # the same one again is one
    waits("1 of 2", required=2)
    waits("0 of 1", known=(str(town.witnesses[1].key),))
    town.look(1)
    assert [one["witness"] for one in town.obtain(required=2)["accepted"]] == ["w1.example.org", "w2.example.org"]
    with pytest.raises(PlanError, match=r"witness\.known"):
        town.obtain(known=(f"{str(town.witnesses[0].key)[:-2]}AA",))


@pytest.mark.parametrize(("hours", "counts"), [(-30, False), (-20, True), (-1, True), (1, False)])
def test_an_old_cosignature_and_one_from_the_future_do_not_count(town: Town, hours: int, counts: bool) -> None:
    text = town.shop.ledger.sign_checkpoint()
    mine = town.witnesses[0]
    line = cosign(text.partition("\n\n")[0] + "\n", mine.key, mine._private, int(time.time()) + hours * 3600)
    keep(town.ledger, with_lines(text, [line]))
    town.decided_at = now(-40 * 3600)
    if counts:
        assert town.obtain()["accepted"]
    else:
        with pytest.raises(WaitingForPerson, match="0 of 1"):
            town.obtain()


def test_the_record_itself_proves_that_it_waited(town: Town) -> None:
    town.look()
    told = town.obtain()
    assert town.close(told) == set()


@pytest.mark.parametrize("forged", ["nothing", "another witness", "before the decision", "another root"])
def test_a_promotion_that_did_not_wait_is_named_offline(town: Town, forged: str) -> None:
    if forged == "before the decision":
        old = town.witnesses[0].cosign(town.ledger)
        one = {"key": str(town.witnesses[0].key), "size": old.checkpoint.size, "line": old.line}
    else:
        town.look()
        [one] = town.obtain()["accepted"]
        stranger = Witness.create(town.place / "w3", "w3.example.org")
        line = stranger.cosign(town.ledger).line
        one |= {"another witness": {"key": str(stranger.key), "line": line}, "another root": {"size": one["size"] - 1}}.get(
            forged, {}
        )
    told = None if forged == "nothing" else {"required": 1, "accepted": [one]}
    assert town.close(told) == {"promotion-unwitnessed"}


def cut(town: Town) -> None:
    """Go back to a copy from before the decision, and go on otherwise under the same keys."""
    town.shop.ledger.close()
    for name in ("ledger", ".loopwright"):
        shutil.rmtree(town.shop.root / name)
        shutil.copytree(town.place / "backup" / name, town.shop.root / name)
    town.shop.again()


@pytest.mark.parametrize("how", ["rewind", "fork"])
@pytest.mark.parametrize("by", ["the witness", "hand"])
def test_what_a_witness_refuses_stops_the_loop(town: Town, how: str, by: str) -> None:
    town.shop.ledger.close()
    shutil.copytree(town.shop.root, town.place / "backup")
    town.shop.again()
    town.shop.phase("c0001", "decide", {"action": "promote"}, attempt=2)
    town.look()
    cut(town)
    for attempt in range(2, 3 if how == "rewind" else 9):
        town.shop.phase("c0001", "decide", {"action": "reject"}, attempt=attempt, seconds=(how == "fork" and 2.5) or 1.5)
    if how == "rewind":
        cut(town)
    town.shop.ledger.sign_checkpoint()
    unbroken(town.ledger)  # nothing here tells it
    if by == "hand":
        where = town.place / "copy"
        shutil.copytree(town.ledger, where)
        assert loopwright("witness", "cosign", where, "--state", town.place / "w1").code == 5
        [evidence] = (town.place / "w1" / "refused").iterdir()
        assert json.loads(evidence.read_bytes())["code"] == how
        assert loopwright("witness", "add", evidence, "-w", town.shop.root).code == 0
    else:
        assert loopwright("witness", "cosign", town.shop.root, "--state", town.place / "w1").code == 5
    with pytest.raises(IntegrityError, match=f"{how}: .*a witness refused"):
        unbroken(town.ledger)
    with pytest.raises(IntegrityError, match=how):
        town.obtain()
    assert how in {one.code for one in inspect(town.shop.root).findings}


def test_a_log_that_was_cut_below_what_a_witness_cosigned_here_stops(town: Town) -> None:
    town.shop.ledger.close()
    shutil.copytree(town.shop.root, town.place / "backup")
    town.shop.again()
    town.shop.phase("c0001", "decide", {"action": "promote"}, attempt=2)
    town.look()
    size = (town.ledger / "checkpoint").read_text().split("\n")[1]
    note = (town.ledger / "checkpoints" / size).read_bytes()
    cut(town)
    (town.ledger / "checkpoints" / size).write_bytes(note)  # whoever cut it forgot this one
    with pytest.raises(IntegrityError, match="rewind"):
        town.obtain()


def test_junk_among_the_refusals_stops_nobody(town: Town) -> None:
    (town.ledger / REFUSED).mkdir()
    note = (town.ledger / "checkpoint").read_text()
    for number, text in enumerate(("junk", note, note.replace("\n4\n", "\n400\n"), json.dumps({"kept": note}))):
        (town.ledger / REFUSED / f"{number}-x").write_text(text)
    unbroken(town.ledger)
    (town.place / "evidence").write_text(json.dumps({"kept": note}))
    found = loopwright("witness", "add", town.place / "evidence", "-w", town.shop.root)
    assert (found.code, "nothing is wrong" in found.err) == (2, True)
