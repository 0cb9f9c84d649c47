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

from rts_server.tools.dev import tether

BY_SIGNAL = sys.platform == "linux"


class ManagedProcess:
    """A command in a process group of its own, its output in a file.

    `start` belongs on the main thread: on Linux the kernel ends a child with the thread that
    started it. `keep` are file descriptors that stay open in it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        keep: Iterable[int] = (),
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self.environment = dict(environment)
        self.keep = tuple(keep)
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the last start, or None."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether it runs (a stopped one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """Exit status of the last run, None while it runs."""
        return self._process.poll() if self._process else None

    def start(self, *, by_signal: bool = BY_SIGNAL) -> None:
        """Start it (again); `by_signal` false takes the tether that other systems need."""
        self.kill()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        read, write = (None, None) if by_signal else os.pipe()
        bond = ["signal", str(os.getpid())] if read is None else ["pipe", str(read)]
        launch = [sys.executable, "-I", "-S", tether.__file__, *bond, *self.command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                launch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                pass_fds=(*self.keep, read) if read is not None else self.keep,
                start_new_session=True,
            )
        if read is not None:
            os.close(read)
        self._pipe = write

    def terminate(self) -> None:
        """SIGTERM: it saves what it has and ends, also when it had been stopped."""
        if self._process is not None:
            self._process.terminate()
            self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send a signal to it and all it started (SIGSTOP, SIGCONT, SIGKILL)."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL to it and all it started, then reap it."""
        if self._process is None:
            return
        # The group may outlive its leader, so it is told even when that one is gone.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._untie()

    def wait(self, seconds: float) -> bool:
        """Wait for its end, at most so long. Whether it ended."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, within: float = 4.0) -> None:
        """SIGTERM, and after `within` seconds SIGKILL."""
        end([self], within)

    def last_words(self) -> str:
        """The last line of its output that says something."""
        with suppress(OSError):
            lines = self.log.read_text("utf-8", "replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""

    def _untie(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def end(children: Iterable[ManagedProcess], within: float) -> None:
    """End them all at once: SIGTERM, one deadline in seconds for all, then SIGKILL."""
    deadline = time.monotonic() + within
    running = list(children)
    for child in running:
        child.terminate()
    for child in running:
        child.wait(deadline - time.monotonic())
        child.kill()
