"""Watching processes from outside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from tests.helpers.waiting import until


def running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip() not in ("", "Z")


def group(leader: int) -> list[int]:
    """The processes of a process group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid="], capture_output=True, text=True, check=True)
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, pgid in pairs if int(pgid) == leader]


def until_gone(pids: Iterable[int]) -> float:
    """Seconds until none of them runs. Raises TimeoutError."""
    left = list(pids)
    return until(lambda: not any(running(pid) for pid in left))


def clean_environment() -> dict[str, str]:
    """This environment without any address or secret of ours."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RTS_", "AWS_")) and name != "PYTHONWARNINGS"
    }
