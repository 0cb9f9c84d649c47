"""Processes that end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rts_server.tools.dev.managed_process import TETHER_BY_SIGNAL, ManagedProcess
from tests.helpers.processes import running, until_gone
from tests.helpers.waiting import until

TETHERS = [
    pytest.param(True, id="signal", marks=pytest.mark.skipif(not TETHER_BY_SIGNAL, reason="Linux")),
    pytest.param(False, id="pipe"),
]
POLITE = r"""
import os, signal, sys, time
def end(*_):
    os.write(1, b"saved\n")
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
os.write(1, b"up\n")  # a whole line at once: a signal may come between two writes
while True: time.sleep(0.02)
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
while True: time.sleep(0.02)
"""
PARENT = """
import sys, time
from pathlib import Path
from rts_server.tools.dev.managed_process import ManagedProcess
child = ManagedProcess("x", [sys.executable, "-c", {code!r}], log=Path({log!r}), environment={{}})
child.start(by_signal={by_signal})
print(child.pid, flush=True)
time.sleep(60)
"""


def child_of(code: str, tmp_path: Path) -> ManagedProcess:
    command = [sys.executable, "-c", code]
    return ManagedProcess("x", command, log=tmp_path / "log", environment=dict(os.environ))


@pytest.fixture
def polite(tmp_path: Path) -> Iterator[ManagedProcess]:
    child = child_of(POLITE, tmp_path)
    yield child
    child.kill()


@pytest.mark.parametrize("by_signal", TETHERS)
def test_stop_sends_sigterm_first(polite: ManagedProcess, by_signal: bool) -> None:
    """The process gets SIGTERM and time to save, and its exit status is its own."""
    polite.start(by_signal=by_signal)
    until(lambda: polite.last_log_line() == "up")
    polite.stop(4)
    assert not polite.alive
    assert (polite.status, polite.last_log_line()) == (3, "saved")


def test_a_paused_process_is_stopped_too(polite: ManagedProcess) -> None:
    """A process under SIGSTOP is resumed so that it can save."""
    polite.start()
    until(lambda: polite.last_log_line() == "up")
    polite.signal(signal.SIGSTOP)
    polite.stop(4)
    assert polite.last_log_line() == "saved"


@pytest.mark.parametrize("by_signal", TETHERS)
def test_a_process_that_ignores_sigterm_is_killed_with_its_children(
    tmp_path: Path, by_signal: bool
) -> None:
    """At the deadline SIGKILL ends the process and all that it started."""
    child = child_of(STUBBORN, tmp_path)
    child.start(by_signal=by_signal)
    until(child.last_log_line)
    grandchild = int(child.last_log_line())
    child.stop(0.3)
    until_gone([grandchild])


@pytest.mark.parametrize("by_signal", TETHERS)
def test_it_saves_and_ends_when_the_parent_is_killed(tmp_path: Path, by_signal: bool) -> None:
    """After SIGKILL of the parent, the process gets SIGTERM."""
    log = tmp_path / "log"
    code = PARENT.format(code=POLITE, log=str(log), by_signal=by_signal)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        until(lambda: log.exists() and "up" in log.read_text())
        assert running(pid)
        parent.kill()
    until_gone([pid])
    assert "saved" in log.read_text()
