"""Ports of this machine: free ones, health checks, and the ports a data directory remembers."""

from __future__ import annotations

import json
import random
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from rts_server.tools.dev.stack_error import StackError

LOCAL = "127.0.0.1"


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


def remembered_ports(path: Path, names: list[str]) -> dict[str, int]:
    """Return a port per name: the one remembered in `path`, or any free one the first time.

    The local AWS stores URLs that hold its port, so it cannot move. Raises StackError if a
    remembered port is in use.
    """
    remembered: dict[str, int] = {}
    with suppress(OSError, ValueError):
        remembered = json.loads(path.read_text())
    for name in names:
        if name not in remembered:
            remembered[name] = next(port for port in candidates() if is_free(port))
        elif not is_free(remembered[name]):
            raise StackError(
                f"Port {remembered[name]}, which {path.parent} keeps for its {name}, is in use; "
                "end the process that listens there, or start with --fresh."
            )
    path.write_text(json.dumps(remembered))
    return remembered


def candidates() -> Iterator[int]:
    """Yield ports below the ephemeral range (32768 on Linux, 49152 in RFC 6335)."""
    while True:
        yield random.randrange(20_000, 30_000)
