"""Watching processes from outside."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable


def running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip() not in ("", "Z")


def group(leader: int) -> list[int]:
    """The processes of a process group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid="], capture_output=True, text=True, check=True)
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, pgid in pairs if int(pgid) == leader]


def until(condition: Callable[[], object], within: float) -> float:
    """Seconds until the condition held. Raises TimeoutError."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > within:
            raise TimeoutError(f"not within {within} s")
        time.sleep(0.02)
    return time.monotonic() - started


def until_gone(pids: Iterable[int], within: float) -> float:
    """Seconds until none of them runs. Raises TimeoutError."""
    left = list(pids)
    return until(lambda: not any(running(pid) for pid in left), within)


def clean_environment() -> dict[str, str]:
    """This environment without any address or secret of ours."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RTS_", "AWS_")) and name != "PYTHONWARNINGS"
    }
