"""A process of the stack that ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rts_server.runtime import tether
from rts_server.tools.dev.stack_error import StackError

TETHER_BY_SIGNAL = sys.platform == "linux"
HEALTH_CHECK_EVERY_SECONDS = 0.02


class ManagedProcess:
    """A command in a process group of its own, with its output in a file.

    Call `start` on the main thread: on Linux the kernel ends a child with the thread that started
    it. `inherited_fds` stay open in the child.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        inherited_fds: Iterable[int] = (),
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.environment = dict(environment)
        self.inherited_fds = tuple(inherited_fds)
        self._process: subprocess.Popen[bytes] | None = None
        self._tether_pipe: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the last start, or None."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether it runs; true also while it is stopped by SIGSTOP."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """Exit status of the last run, None while it runs."""
        return self._process.poll() if self._process else None

    def start(self, *, by_signal: bool = TETHER_BY_SIGNAL) -> None:
        """Start or restart it. `by_signal=False` uses the pipe, as systems without prctl do."""
        self.kill()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        read, write = (None, None) if by_signal else os.pipe()
        tie = ["signal", str(os.getpid())] if read is None else ["pipe", str(read)]
        fds = self.inherited_fds if read is None else (*self.inherited_fds, read)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", tether.__file__, *tie, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                pass_fds=fds,
                start_new_session=True,
            )
        if read is not None:
            os.close(read)
        self._tether_pipe = write

    def is_healthy(self) -> bool:
        """Return whether it serves; subclasses that listen override it."""
        return self.alive

    def wait_healthy(self, within: float) -> None:
        """Wait until it serves. Raises StackError if it ends or `within` seconds pass."""
        deadline = time.monotonic() + within
        while not self.is_healthy():
            if not self.alive or time.monotonic() > deadline:
                self.kill()
                raise StackError(f"{self.name} does not start: {self.last_log_line()}")
            time.sleep(HEALTH_CHECK_EVERY_SECONDS)

    def terminate(self) -> None:
        """Send SIGTERM, upon which it saves its data and ends; SIGCONT in case it is stopped."""
        if self._process is not None:
            self._process.terminate()
            self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send a signal to its process group (SIGSTOP, SIGCONT, SIGKILL)."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Send SIGKILL to its process group, then reap it."""
        if self._process is None:
            return
        # The group may outlive its leader, so it gets the signal even if the leader has ended.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close_tether_pipe()

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for its end; return whether it has ended."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, within: float = 4.0) -> None:
        """Send SIGTERM, and SIGKILL after `within` seconds."""
        stop_all([self], within)

    def last_log_line(self) -> str:
        """Return the last line of its output that is not empty, or ""."""
        with suppress(OSError):
            lines = self.log.read_text("utf-8", "replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""

    def _close_tether_pipe(self) -> None:
        if self._tether_pipe is not None:
            os.close(self._tether_pipe)
            self._tether_pipe = None


def stop_all(processes: Iterable[ManagedProcess], within: float) -> None:
    """Stop processes together: SIGTERM, one deadline in seconds for all, then SIGKILL."""
    deadline = time.monotonic() + within
    running = list(processes)
    for process in running:
        process.terminate()
    for process in running:
        process.wait(deadline - time.monotonic())
        process.kill()
