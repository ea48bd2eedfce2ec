"""Verbs around a run as a person types them: in the background, followed, until something is promoted; and its figures."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from loopwright.cli.live import LogFile
from loopwright.cli.logs import tail
from loopwright.errors import PhaseError
from loopwright.workspace import Workspace

LOOPWRIGHT = (sys.executable, "-m", "loopwright")


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LOOPWRIGHT, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


def test_a_run_in_the_background_is_followed_to_its_end(lab: Workspace) -> None:
    started = command("run", "--cycles", "1", "--detach", "--json", cwd=lab.root)
    assert started.returncode == 0, started.stderr
    followed = command("logs", "--follow", cwd=lab.root)
    told = json.loads(started.stdout)
    assert followed.stdout == Path(told["log"]).read_text(encoding="utf-8")
    assert "c0001 decide    recorded" in followed.stdout
    assert followed.stdout.splitlines()[-1].endswith(" ended")
    assert lab.state().cycles["c0001"].closed_at


def test_a_background_run_that_cannot_start_says_why(lab: Workspace) -> None:
    (lab.root / "loop.yaml").write_text("cycles: none\n", encoding="utf-8")
    found = command("run", "--detach", cwd=lab.root)
    assert found.returncode == 2
    assert "loop.yaml:1:cycles" in found.stderr


def test_following_a_run_that_was_killed_comes_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    code = f"""
import sys, time
from pathlib import Path
from loopwright.cli.live import LogFile
with LogFile(Path({str(tmp_path)!r}) / "log" / "20260102T030405Z.log") as log:
    log.event("c0001", "train", "started", {{}})
    print("there", flush=True)
    time.sleep(600)
"""
    follow = (
        f"from pathlib import Path; from loopwright.cli.logs import tail; tail(Path({str(tmp_path / 'log')!r}), follow=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "there\n"
        with subprocess.Popen(
            [sys.executable, "-c", follow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as reader:
            assert reader.stdout
            assert "c0001 train     started" in reader.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                reader.wait(1)
            writer.kill()
            assert "the run was killed" in reader.communicate(timeout=60)[1]


def test_logs_before_any_run_say_what_to_do(lab: Workspace) -> None:
    for log in (lab.root / ".loopwright" / "logs").glob("*"):
        log.unlink()
    found = command("logs", cwd=lab.root)
    assert found.returncode == 2
    assert "loopwright run" in found.stderr


def test_the_log_has_the_traceback_of_what_was_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with LogFile(tmp_path / "20260102T030405Z.log"):
            try:
                1 / 0  # noqa: B018
            except ZeroDivisionError as error:
                raise PhaseError("the train phase failed", "`loopwright logs` has the traceback") from error

    with pytest.raises(PhaseError):
        fail()
    tail(tmp_path, follow=True)
    said = capsys.readouterr().out.splitlines()
    assert any("| ZeroDivisionError: division by zero" in line for line in said)
    assert "ended: the train phase failed" in said[-2] + said[-1]


def test_until_promoted_answers_no_where_nothing_is(lab: Workspace) -> None:
    found = command("run", "--until-promoted", "--json", cwd=lab.root)
    assert found.returncode == 3, found.stderr
    assert "no cycle was promoted" in found.stderr
    assert list(lab.state().cycles) == ["c0000", "c0001", "c0002"]


def test_a_terminal_gets_a_live_view_and_the_figures_go_to_tensorboard(lab: Workspace) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        [*LOOPWRIGHT, "run", "--cycles", "1"], cwd=lab.root, stdout=subprocess.DEVNULL, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        seen = _read(ours)
    assert process.returncode == 0
    assert "\x1b[" in seen, "the view is drawn in place"
    assert re.search(r"c0001 generate", seen)
    assert "REJECT" in seen
    events = list((lab.root / ".loopwright" / "tensorboard").glob("events.out.tfevents.*"))
    assert b"evaluate/gate/headline/value" in events[-1].read_bytes()


def _read(terminal: int) -> str:
    """All that is written to a terminal until its other end is closed."""
    pieces = []
    while select.select([terminal], [], [], 120)[0]:
        try:
            piece = os.read(terminal, 2**16)
        except OSError:  # Linux says so when the last writer has gone
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(terminal)
    return b"".join(pieces).decode(errors="replace")
