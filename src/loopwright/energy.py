"""What a phase draws: codecarbon without a network, one task a phase, on a thread of its own so that no phase waits for it.

A number comes with how it was obtained: *measured* where counters tell CPU and GPUs (RAPL, NVML; memory is a model's
figure even then), *partly measured* where they tell some of it, *estimated* where none do, *not measured* where there
is no number. Measuring fails no phase. The boundary is one host, all that runs on it, without cooling, disks and network.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Protocol

__all__ = ["BOUNDARY", "Meter", "NoMeter", "drawn", "open_meter", "report"]

BOUNDARY = "CPUs, memory and GPUs of the driver's host, everything that runs on it; no cooling, disks, network or other hosts"
_COUNTERS = {
    "intel_rapl": "RAPL",
    "intel_power_gadget": "Power Gadget",
    "windows_emi": "Windows EMI",
    "AppleSiliconChip": "PowerMetrics",
    "Raspberry": "the board's sensor",
    "GPU": "NVML or AMD SMI",
}
"""Codecarbon's names for what reads a counter or a sensor, in words. All others are models."""


class Meter(Protocol):
    """Between `begin` and `end` lies one attempt at a phase."""

    def begin(self) -> None: ...

    def end(self) -> Mapping[str, Any]:
        """What was drawn, as it goes into a statement (see `report`); empty where nothing was begun."""
        ...


class NoMeter:
    """For a plan that wants none, and for replays."""

    def begin(self) -> None:
        """Nothing to start."""

    def end(self) -> Mapping[str, Any]:
        return _unknown("the plan measures no energy (`runtime.energy: none`)")


@contextmanager
def open_meter(wanted: str, country: str | None) -> Iterator[Meter]:
    """A meter for a whole run. ``wanted``: ``auto`` or ``none``. ``country``: ISO 3166-1 alpha-3 for emissions, or None."""
    if wanted == "none":
        yield NoMeter()
        return
    meter = _CodeCarbon(country)
    try:
        yield meter
    finally:
        meter.close()


class _CodeCarbon:
    """One tracker for a run, one of its tasks for each phase. A broken one costs the figure, never the phase."""

    def __init__(self, country: str | None) -> None:
        self._country = country
        self._lock = threading.Lock()
        self._tracker: Any = None
        self._open = False
        self._why = "the phase ended before the meter had found out about the hardware"
        threading.Thread(target=self._prepare, name="energy", daemon=True).start()

    def begin(self) -> None:
        """Takes the first reading, or leaves it to `_prepare`: then the seconds on record are fewer than the phase's."""
        with self._lock:
            self._open = True
            self._start()

    def end(self) -> Mapping[str, Any]:
        with self._lock:
            if not self._open:
                return {}
            self._open = False
            if self._tracker is None:
                return _unknown(self._why)
            try:
                found = self._tracker.stop_task()
                return report(vars(found), _sources(self._tracker), self._country)
            except Exception as error:  # noqa: BLE001  # whatever codecarbon or a driver's library raises: a figure, not the work
                return _unknown(f"{type(error).__name__}: {error}"[:200])

    def close(self) -> None:
        """Ends the thread that samples the load, where a phase left it running."""
        self.end()

    def _prepare(self) -> None:
        """Finding the hardware takes seconds, most of them waiting, so that it happens beside the work."""
        try:
            tracker = _tracker(self._country)
        except Exception as error:  # noqa: BLE001  # not installed, or no hardware that it knows
            self._why = f"{type(error).__name__}: {error}"[:200]
            return
        with self._lock:
            self._tracker = tracker
            if self._open:
                self._start()

    def _start(self) -> None:
        if self._tracker is not None:
            with suppress(Exception):
                self._tracker.start_task()


def report(found: Mapping[str, Any], sources: Mapping[str, str], country: str | None) -> dict[str, Any]:
    """A reading as it is recorded.

    Args:
        found: codecarbon's ``EmissionsData`` of one task: kWh by part, seconds, utilisation, kg of CO2e.
        sources: codecarbon's name of what told each part (``cpu``, ``gpu``, ``ram``).
        country: by whose electricity the emissions were reckoned; without one they are left out.
    """
    parts = {part: float(found[f"{part}_energy"]) for part in ("cpu", "gpu", "ram")}
    counted = {part: sources.get(part) in _COUNTERS for part in parts}
    present = ["cpu", "gpu"] if found["gpu_count"] else ["cpu"]
    states = {counted[part] for part in present}
    how = "partly measured" if len(states) == 2 else "measured" if True in states else "estimated"
    told: dict[str, Any] = {
        "how": how,
        "kwh": sum(parts.values()),
        "parts": {
            part: {"kwh": kwh, "source": _source(part, sources.get(part, "unknown"))} for part, kwh in parts.items() if kwh
        },
        "measured_kwh": sum((kwh for part, kwh in parts.items() if counted[part]), 0.0),
        "seconds": round(float(found["duration"]), 3),
        "boundary": BOUNDARY,
        "tool": f"codecarbon {found['codecarbon_version']}",
    }
    if found["gpu_count"]:
        told["utilisation"] = {"gpu": round(float(found["gpu_utilization_percent"]) / 100, 4), "reading": "NVML occupancy"}
    if country is not None:
        told |= {"kg_co2e": float(found["emissions"]), "country": country}
    return told


def drawn(energy: Mapping[str, Any], *, elsewhere: bool = False) -> dict[str, Any]:
    """What a statement says of it: the whole as ``energy``, and as ``energy_kwh`` what budgets take for measured.

    ``elsewhere``: the work may have run on other hosts as well. Then the number is a part, and says so.
    """
    if not energy:
        return {}
    if elsewhere and "kwh" in energy:
        return {"energy": {**energy, "hosts": "driver"}}
    counted = {"energy_kwh": energy["kwh"]} if energy["how"] in {"measured", "partly measured"} else {}
    return {"energy": dict(energy), **counted}


def _source(part: str, name: str) -> str:
    """In words that say whether it is a counter."""
    if name in _COUNTERS:
        return _COUNTERS[name]
    return "codecarbon's model of memory" if part == "ram" else f"codecarbon's model of the processor ({name})"


def _unknown(why: str) -> dict[str, Any]:
    return {"how": "not measured", "why": why}


def _sources(tracker: Any) -> dict[str, str]:
    """What tells each part: a CPU by its mode, everything else by its class."""
    found = {}
    for hardware in tracker._hardware:  # noqa: SLF001  # it tells nowhere else by what it measures
        name = type(hardware).__name__
        part = {"CPU": "cpu", "AppleSiliconChip": getattr(hardware, "chip_part", "cpu").lower()}.get(name, name.lower())
        found[part] = getattr(hardware, "_mode", name) if name == "CPU" else name
    return found


def _tracker(country: str | None) -> Any:
    """Codecarbon, silent and offline, with its hardware found. All that could reach a network or a disk is switched off by name."""
    logging.getLogger("codecarbon").disabled = True
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code=country or "DEU",  # it wants one; without the plan's, emissions are left out
        allow_multiple_runs=True,
        output_methods=[],
        electricitymaps_api_token="",
        tracking_mode="machine",
        log_level="critical",
    )
    tracker.start_task()  # finds the hardware
    tracker.stop_task()
    return tracker
