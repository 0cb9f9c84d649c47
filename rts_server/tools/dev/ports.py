"""Ports of this machine: which are free, who answers, which a data directory had last time."""

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


def free(port: int, host: str = LOCAL) -> bool:
    """Whether a listener could have this port now."""
    with socket.socket() as probe:
        # As every listener does, so that connections that are ending do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def says_ok(url: str) -> bool:
    """Whether a page of this machine answers 200 within a second; no proxy is asked."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, HTTPException), direct.open(url, timeout=1) as answer:
        return bool(answer.status == 200)
    return False


def kept(path: Path, names: list[str]) -> dict[str, int]:
    """A port per name: the one of last time, noted in `path`, at the first time any free one.

    The local AWS stores URLs that hold its port, so it cannot move. Raises Trouble when a port of
    last time is taken.
    """
    known: dict[str, int] = {}
    with suppress(OSError, ValueError):
        known = json.loads(path.read_text())
    for name in names:
        if name not in known:
            known[name] = next(port for port in _candidates() if free(port))
        elif not free(known[name]):
            raise StackError(
                f"Port {known[name]}, which {path.parent} keeps for its {name}, is in use; "
                "end what listens there, or start with --fresh."
            )
    path.write_text(json.dumps(known))
    return known


def _candidates() -> Iterator[int]:
    """Below the ports that systems give to outgoing connections (RFC 6335 and Linux differ)."""
    while True:
        yield random.randrange(20_000, 30_000)
