"""Alerts: which stand is a pure function, each is raised and sent once, no secret is told, and none of it fails a run."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from loopwright.alerts import Seen, alerts_of, keep, kept
from loopwright.alerts.journal import FILE
from loopwright.alerts.sent import addresses, addresses_file, send, unsent
from loopwright.budgets import Used
from loopwright.cli import app
from loopwright.cli.alerts import Watch
from loopwright.consent import Waiting
from loopwright.errors import InfraError, UsageError
from loopwright.ledger.acts import Acts
from loopwright.ledger.quorum import Standing
from loopwright.policy import Alerts, Budgets
from loopwright.workspace import find
from tests.report.recorded import record_loop

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # apprise asks for imghdr

NOW = "2026-11-26T12:00:00Z"


def row(cycle: str, lights: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"cycle": cycle, "lights": lights, "failures": [], "seconds": {}, "opened_at": NOW, "closed_at": NOW, **more}


def request(number: int, asked: str = "2026-11-26T09:00:00Z") -> Any:
    return SimpleNamespace(id=f"r{number}", action="resume", said={"requested_at": asked, "expires_at": "2026-11-29T09:00:00Z"})


def waits(request: Any, status: str = "open") -> Waiting:
    return Waiting(request=request, standing=Standing(status=status, reasons=()))


def seen(**more: Any) -> Seen:
    return Seen(**{"acts": Acts(), "rows": (), "used": Used(), "budgets": Budgets(), "now": NOW, **more})


def ids(told: Seen, **rules: Any) -> list[str]:
    return [one.id for one in alerts_of(told, Alerts(**rules))]


def test_each_rule_speaks_at_its_limit_and_not_before() -> None:
    halt = SimpleNamespace(index=7, predicate={"halted_at": NOW, "reason": "secret"})
    [halted] = alerts_of(seen(acts=replace(Acts(), halts=(halt,))), Alerts())
    assert (halted.id, halted.level) == ("halted:7", "critical")
    assert "secret" not in halted.text, "no words of a person leave by an alert"
    assert ids(seen(acts=replace(Acts(), halts=(halt,))), stop=False) == []

    assert ids(seen(rows=[row("c0001", {"vendi": "stop"}), row("c0002", {"vendi": "fine"})])) == [], "the newest cycle counts"
    assert ids(seen(rows=[row("c0001", {"vendi": "stop"})])) == ["light:c0001/vendi"]
    failure = {"phase": "train", "attempt": 1}
    assert ids(seen(rows=[row("c0001", {}, failures=[failure])])) == ["failed:c0001/train"]
    assert ids(seen(rows=[row("c0001", {}, failures=[failure], seconds={"train": 3.0})])) == [], "a later attempt ended well"

    warned = [row(f"c000{number}", {"vendi": "warn", "entropy": "fine"}) for number in range(3)]
    assert ids(seen(rows=warned)) == ["drift:vendi"]
    assert ids(seen(rows=warned[:2])) == ids(seen(rows=warned), drift_cycles=None) == []
    assert ids(seen(rows=[*warned, row("c0003", {"vendi": "fine"})])) == []

    late, fresh, granted = request(1), request(2, "2026-11-26T11:30:00Z"), request(3)
    assert ids(seen(waiting=[waits(late), waits(fresh), waits(granted, "granted")])) == ["waiting:r1"]

    used = Used(cycles=8)
    assert ids(seen(used=used, budgets=Budgets(cycles=10))) == ["budget:cycles/warning"]
    assert ids(seen(used=used, budgets=Budgets(cycles=8))) == ["budget:cycles/critical"]
    assert ids(seen(used=used, budgets=Budgets(cycles=11))) == []
    assert ids(seen(findings=2)) == ["integrity:record"]
    assert ids(seen(findings=0)) == ids(seen(findings=None)) == ids(seen(findings=2), integrity=False) == []


def test_what_stands_is_raised_once_cleared_once_and_told_again_when_it_returns(tmp_path: Path) -> None:
    [broken] = alerts_of(seen(findings=1), Alerts())
    assert [one.id for one in keep(tmp_path, [broken], "1")] == ["integrity:record"]
    assert len(keep(tmp_path, [broken], "2")) == 1
    assert keep(tmp_path, [], "3", unseen=["integrity"])[0].cleared_at is None, "it was not looked at"
    assert keep(tmp_path, [], "4")[0].cleared_at == "4"
    with (tmp_path / FILE).open("a") as file:
        file.write('{"event": "rai\n[1]\n{"event": "raised", "id": 3}\n')
    again = keep(tmp_path, [broken], "5")
    assert [(one.raised_at, one.cleared_at) for one in again] == [("1", "4"), ("5", None)], "a torn line hides nothing"


@pytest.fixture
def hook() -> Any:
    """A server as a chat's: what it was sent."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200 if "down" not in self.path else 500)
            self.end_headers()

        def log_message(self, *told: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(url=f"json://127.0.0.1:{server.server_port}", got=got)
    server.shutdown()
    server.server_close()


def written(root: Path, *lines: str, mode: int = 0o600) -> Path:
    path = addresses_file(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# ours\n" + "\n".join(lines) + "\n")
    path.chmod(mode)
    return path


def test_an_alert_is_sent_once_as_plain_text_and_no_address_is_told(
    tmp_path: Path, hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    due = unsent(keep(tmp_path, alerts_of(seen(findings=1), Alerts()), NOW))
    written(tmp_path, f"{hook.url}/down/S3CRET-token")
    with pytest.raises(InfraError) as failed:
        send(tmp_path, "lab", due)
    written(tmp_path, f"{hook.url}/down/S3CRET-token", f"{hook.url}/S3CRET-token")
    assert send(tmp_path, "lab", unsent(kept(tmp_path))) == 1
    assert hook.got[-1]["title"] == "Loopwright lab: 1 alert, 1 critical"
    assert "The record is not what was signed: 1 findings." in hook.got[-1]["message"]
    assert unsent(kept(tmp_path)) == ()
    told = caplog.text + str(failed.value) + (tmp_path / FILE).read_text()
    assert "S3CRET" not in told
    written(tmp_path, "S3CRET://nonsense")
    with pytest.raises(UsageError, match="address 1 is none") as wrong:
        send(tmp_path, "lab", due)
    assert "S3CRET" not in str(wrong.value)


def test_the_digest_goes_where_alerts_go(tmp_path: Path, hook) -> None:
    root = record_loop(tmp_path / "lab", 4)
    (root / "loop.yaml").write_text("name: lab\n")
    without = CliRunner().invoke(app, ["digest", "--send", "-w", str(root)])
    assert (without.exit_code, "no addresses" in str(without.exception)) == (1, True)
    written(root, f"{hook.url}/S3CRET")
    said = CliRunner().invoke(app, ["digest", "--send", "--hours", "99999", "-w", str(root)])
    assert said.exit_code == 0, said.output
    assert hook.got[-1]["title"].startswith("Loopwright lab: 99999 hours to ")
    assert "c0003 rejected: sealed score" in hook.got[-1]["message"]
    assert hook.got[-1]["message"].strip() in said.output


def test_addresses_that_others_can_read_are_refused(tmp_path: Path) -> None:
    assert addresses(addresses_file(tmp_path)) == ()
    with pytest.raises(UsageError, match="can be read by others"):
        addresses(written(tmp_path, "json://x", mode=0o640))


def test_the_verb_and_the_driver_look_and_nothing_that_goes_wrong_fails_a_run(
    tmp_path: Path, hook, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = record_loop(tmp_path / "lab", 4, failed=True)
    (root / "loop.yaml").write_text("name: lab\nbudgets: {cycles: 3}\n")
    said = CliRunner().invoke(app, ["alerts", "--json", "-w", str(root)])
    assert said.exit_code == 0, said.output
    found = {one["id"] for one in json.loads(said.output)["alerts"]}
    assert {"failed:c0004/train", "budget:cycles/critical"} <= found
    watch = Watch(find(root))
    written(root, f"{hook.url}/down/S3CRET")
    watch.event("c0003", "", "committed", {})
    assert "none of 1 addresses" in watch.complaint
    written(root, f"{hook.url}/S3CRET")
    watch.event("c0003", "train", "recorded", {})
    assert len(hook.got) == 1, "only a cycle's end is looked at"
    watch.ended()
    assert "failed at attempt 1" in hook.got[-1]["message"]
    (root / "loop.yaml").write_text("nonsense: [")
    watch.ended()
    assert "alerts: " in capsys.readouterr().err
    assert "S3CRET" not in "".join(path.read_text(errors="replace") for path in root.rglob("*.jsonl"))
