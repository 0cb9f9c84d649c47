"""Run a command that ends with the process that started it, even if that one gets SIGKILL.

Run by path, with the standard library alone. On Linux it asks the kernel for SIGTERM at the
parent's death (prctl(2), PR_SET_PDEATHSIG) and becomes the command; elsewhere it stays and watches
a pipe, which closes when the parent dies.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
TERMINATE_GRACE_SECONDS = 4.0


def exec_with_death_signal(parent: int, command: list[str]) -> None:
    """Become the command. The kernel watches the *thread* that started this process."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # Checked after the request: a parent that died before it sends no signal any more.
    if os.getppid() != parent:
        sys.exit(1)
    os.execvp(command[0], command)


def run_beside_pipe(pipe: int, command: list[str]) -> int:
    """Run the command until it ends or the pipe closes; return its exit status."""
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    while child.poll() is None:
        closed, _, _ = select.select([pipe], [], [], 0.1)
        if closed:
            _terminate(child)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _terminate(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(TERMINATE_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(os.getpgrp(), signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Arguments: `signal PARENT command…` or `pipe FD command…`."""
    kind, number, *command = arguments
    if kind == "signal":
        exec_with_death_signal(int(number), command)
    return run_beside_pipe(int(number), command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
