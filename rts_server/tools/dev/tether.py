"""Run a command that ends with the process that started it, even when that one is SIGKILLed.

Run by path, on the standard library alone. On Linux it asks the kernel for SIGTERM at the parent's
death (prctl(2)) and becomes the command; elsewhere it stays and watches a pipe.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
GRACE = 4.0


def become(parent: int, command: list[str]) -> None:
    """Turn into the command. The death of the *thread* that started this process counts."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel knew
        sys.exit(1)
    os.execvp(command[0], command)


def beside(pipe: int, command: list[str]) -> int:
    """Run the command beside this process until it ends or the pipe closes. Exit status."""
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.terminate())
    while child.poll() is None:
        closed, _, _ = select.select([pipe], [], [], 0.1)
        if closed:
            _end(child)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(os.getpgrp(), signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """`signal PARENT command…` or `pipe FD command…`."""
    kind, number, *command = arguments
    if kind == "signal":
        become(int(number), command)
    return beside(int(number), command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
