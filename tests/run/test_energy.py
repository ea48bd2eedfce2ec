"""What a phase drew is on the record with how it is known, and measuring it costs next to nothing and fails nothing."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from loopwright.budgets import lines, used_by
from loopwright.energy import drawn, open_meter, report
from loopwright.policy import Budgets
from loopwright.report.compute import compute_facts
from tests.govern.test_halt import turn
from tests.run.small import make_small

READING = {
    "cpu_energy": 0.5,
    "gpu_energy": 2.0,
    "ram_energy": 0.25,
    "duration": 60.0,
    "gpu_count": 1,
    "gpu_utilization_percent": 40.0,
    "emissions": 0.9,
    "codecarbon_version": "3.3.2",
}


def test_a_number_says_what_it_comes_from() -> None:
    told = report(READING, {"cpu": "intel_rapl", "gpu": "GPU", "ram": "RAM"}, "DEU")
    assert (told["how"], told["kwh"], told["measured_kwh"], told["kg_co2e"]) == ("measured", 2.75, 2.5, 0.9)
    assert told["utilisation"] == {"gpu": 0.4, "reading": "NVML occupancy"}
    assert drawn(told)["energy_kwh"] == 2.75
    mixed = report(READING, {"cpu": "constant", "gpu": "GPU", "ram": "RAM"}, None)
    assert (mixed["how"], mixed["measured_kwh"]) == ("partly measured", 2.0)
    assert "kg_co2e" not in mixed
    guess = report({**READING, "gpu_count": 0, "gpu_energy": 0.0}, {"cpu": "cpu_load", "ram": "RAM"}, None)
    assert guess["how"] == "estimated"
    assert "energy_kwh" not in drawn(guess)  # no budget takes it for measured
    assert drawn({}) == {}
    assert drawn(told, elsewhere=True) == {"energy": {**told, "hosts": "driver"}}  # a cluster's other hosts are not in it


def warm() -> None:
    """Codecarbon remembers the hardware of a process once it has found it; a short loop would be over before."""
    with open_meter("auto", None) as meter:
        for _ in range(100):
            meter.begin()
            time.sleep(0.2)
            told = meter.end()
            if "kwh" in told:
                return
    pytest.fail(f"the meter found no hardware: {told}")


def test_a_real_run_records_it_for_every_phase_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    connect = socket.socket.connect

    def watch(this: socket.socket, address: Any) -> None:
        if this.family in {socket.AF_INET, socket.AF_INET6}:
            asked.append(address)
        connect(this, address)

    monkeypatch.setattr(socket.socket, "connect", watch)
    warm()
    workspace = make_small(tmp_path / "small", **{"runtime.energy": "auto", "runtime.country": "DEU"})
    turn(workspace, 0)
    statements = list(workspace.ledger().statements())
    phases = [one.predicate for one in statements if one.kind == "phase"]
    assert asked == []
    told = [phase["environment"]["energy"] for phase in phases]
    assert len(told) == len(phases) == 5
    assert {one["how"] for one in told} <= {"measured", "partly measured", "estimated", "not measured"}
    assert all("why" in one for one in told if one["how"] == "not measured")
    numbers = [one for one in told if "kwh" in one]
    assert numbers
    assert all(one["kwh"] > 0 and one["boundary"] and one["kg_co2e"] > 0 for one in numbers)
    facts = compute_facts(statements, "c0000")
    assert facts["energy.cycle"].value == pytest.approx(sum(one["kwh"] for one in numbers))
    line = {one.name: one for one in lines(Budgets(), used_by(statements))}["energy_kwh"]
    assert line.used == pytest.approx(facts["energy.cycle"].value)
    ratio = facts["compute.counted"].value["rows"][0][-1]
    assert 0.85 < ratio < 1.15  # what torch counts, against 6·P·D


def test_a_meter_that_breaks_costs_the_figure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_country: str | None) -> Any:
        raise OSError("no such counter")

    monkeypatch.setattr("loopwright.energy._tracker", broken)
    with open_meter("auto", None) as meter:
        meter.begin()
        time.sleep(0.05)
        assert meter.end() == {"how": "not measured", "why": "OSError: no such counter"}
        assert meter.end() == {}
    with open_meter("none", None) as meter:
        meter.begin()
        assert meter.end()["how"] == "not measured"
