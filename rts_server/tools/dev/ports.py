"""Ports of this machine: free ones, health checks, and the ports a data directory remembers."""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
import tempfile
import urllib.request
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from rts_server.tools.dev.stack_error import StackError

LOCAL = "127.0.0.1"
MAX_CLAIMS = 64
_claims: deque[int] = deque()


def is_free(port: int, host: str = LOCAL) -> bool:
    """Return whether a listener could bind this port now."""
    with socket.socket() as probe:
        # As listeners do, so that connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers_ok(url: str) -> bool:
    """Return whether a local URL answers 200 within a second; no proxy is used."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, HTTPException), direct.open(url, timeout=1) as answer:
        return bool(answer.status == 200)
    return False


def remembered_ports(path: Path, names: Iterable[str], each: int = 1) -> dict[str, int]:
    """Return a port per name: the one remembered in `path`, or any free one the first time.

    It is the first of `each` consecutive ones. The local AWS stores URLs that hold its port, and
    the nodes of a cluster know each other's, so they cannot move. Raises StackError if a remembered
    port is in use.
    """
    remembered: dict[str, int] = {}
    with suppress(OSError, ValueError):
        remembered = json.loads(path.read_text())
    for name in names:
        if name not in remembered:
            remembered[name] = claim_ports(each)
        elif not all(map(is_free, range(remembered[name], remembered[name] + each))):
            raise StackError(
                f"Port {remembered[name]}, which {path.parent} keeps for its {name}, is in use; "
                "end the process that listens there, or start with --fresh."
            )
    path.write_text(json.dumps(remembered))
    return remembered


def claim_ports(count: int) -> int:
    """Return the first of so many consecutive free ports, below the ephemeral range.

    Of that range (32768 on Linux, 49152 in RFC 6335) somebody's connection could take one before it
    is bound. They stay claimed until this process ends, or has claimed MAX_CLAIMS others: another
    one that looks for ports at the same time finds others.
    """
    while True:
        first = random.randrange(20_000, 30_000)
        wanted = range(first, first + count)
        if all(map(_claim, wanted)) and all(map(is_free, wanted)):
            return first


def _claim(port: int) -> bool:
    """Lock the file of a port in the folder for temporary files; return False if somebody has."""
    folder = Path(tempfile.gettempdir(), f"rts-server-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    _claims.append(descriptor)  # the lock ends when it is closed
    if len(_claims) > MAX_CLAIMS:
        os.close(_claims.popleft())
    return True
