"""How many connections an address has here, and how fast it opens them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from ipaddress import IPv6Address

from aiohttp import web

from rts_server import metrics
from rts_server.rates import Buckets, Rate

FULL = 5.0
"""Seconds after which one whose address has all it may is to try again."""


class Addresses:
    """Counts connections by address. `proxies` stand between the client and us and are believed:
    each adds, at the end of X-Forwarded-For, the address it was called from. `most`: connections
    of an address, which are opened at the rate `handshakes`. A network of IPv6 that one subscriber
    has (/64) is one address: there are as many others in it as anybody likes.
    """

    def __init__(self, proxies: int, most: int, rates: Mapping[str, Rate]) -> None:
        self._proxies, self._most = proxies, most
        self._buckets = Buckets(rates)
        self._count: Counter[str] = Counter()
        self._of: dict[str, str] = {}

    def wait(self, request: web.Request) -> float:
        """Take the right to open a connection, and answer 0; or the seconds after which there may
        be one.
        """
        address = self._address(request)
        if self._count[address] >= self._most:
            metrics.LIMITED.labels("address_connections").inc()
            return FULL
        if wait := self._buckets.take("handshakes", address, time.monotonic()):
            metrics.LIMITED.labels("handshakes").inc()
        return wait

    def enter(self, eio_sid: str, request: web.Request) -> None:
        """A connection was opened."""
        address = self._address(request)
        self._of[eio_sid] = address
        self._count[address] += 1

    def leave(self, eio_sid: str) -> None:
        """It is gone."""
        if (address := self._of.pop(eio_sid, None)) is not None:
            self._count[address] -= 1
            if not self._count[address]:
                del self._count[address]

    def _address(self, request: web.Request) -> str:
        told = ",".join(request.headers.getall("X-Forwarded-For", []))
        passed = [one.strip() for one in told.split(",") if one.strip()]
        if self._proxies and len(passed) >= self._proxies:
            return _subscriber(passed[-self._proxies])
        return _subscriber(request.remote or "")


def _subscriber(address: str) -> str:
    """Whom an address belongs to: of IPv6 the network, of all else the address as it is told."""
    if ":" not in address:
        return address
    try:
        whole = IPv6Address(address)
    except ValueError:  # a proxy may write what it likes
        return address
    if whole.ipv4_mapped is not None:
        return str(whole.ipv4_mapped)
    return f"{IPv6Address(int(whole) >> 64 << 64)}/64"
