"""Looks at processes from outside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from tests.helpers.waiting import until


def running(pid: int) -> bool:
    """Return whether the process exists and is no zombie."""
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip() not in ("", "Z")


def group(leader: int) -> list[int]:
    """Return the processes of a process group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid="], capture_output=True, text=True, check=True)
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, pgid in pairs if int(pgid) == leader]


def until_gone(pids: Iterable[int]) -> float:
    """Wait until none of them runs; return the seconds. Raises TimeoutError."""
    left = list(pids)
    return until(lambda: not any(running(pid) for pid in left))


def clean_environment() -> dict[str, str]:
    """Return this environment without the server's settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RTS_", "AWS_")) and name != "PYTHONWARNINGS"
    }
