"""The cost of processes, the assignment of cores, and a description of this machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

OPEN_FILES = 16_384
_CPUCLOCK_SCHED = 2


def cpu_seconds(pid: int) -> float:
    """Return user and system time of all threads of a process, ended ones included.

    Linux: the clock of clock_getcpuclockid(3), in ns where /proc/<pid>/stat has ticks of 10 ms.
    """
    if sys.platform == "linux":
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    seconds = 0.0
    for part in _ps("time", pid).replace("-", ":").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(_ps("rss", pid)) * 1024


def _ps(column: str, pid: int) -> str:
    command = ["ps", "-o", f"{column}=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@cache
def cores() -> tuple[set[int], set[int], set[int]]:
    """Return (servers, load generator, everything else); empty if cores cannot be chosen.

    As they are at the first call: inside `pinned` one would see that core alone.
    """
    if not hasattr(os, "sched_setaffinity"):
        return set(), set(), set()
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) == 1:
        return set(), set(), set()
    return {mine[0]}, {mine[1]}, set(mine[2:] or mine[1:])


@contextmanager
def pinned(to: set[int]) -> Iterator[None]:
    """Keep processes started inside, with all their threads, on these cores."""
    if not to:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_files() -> None:
    """Raise the limit of open files; children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def describe_machine() -> str:
    """Return cores, CPU model, system and Python; nothing that identifies the machine."""
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"{os.cpu_count()} cores, {_cpu_model()}, {system}, Python {platform.python_version()}"


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
