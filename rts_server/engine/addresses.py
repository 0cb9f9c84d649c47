"""Limits the connections of a client address, and the rate at which it opens them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from ipaddress import IPv6Address

from aiohttp import web

from rts_server import metrics
from rts_server.rates import Buckets, RateLimit

FULL_RETRY_SECONDS = 5.0
"""Retry-After of a client whose address has all the connections it may have."""


class Addresses:
    """Counts the connections of this instance by client address.

    `trusted_proxies`: proxies in front of us; each appends the address of its client to
    X-Forwarded-For, so that entry from the end is the client's. `limit`: connections of an address,
    which may be opened at the rate `handshakes`.

    An IPv6 network of one subscriber (/64, RFC 6177) is one address: otherwise one client would
    have any number of addresses.
    """

    def __init__(self, trusted_proxies: int, limit: int, rates: Mapping[str, RateLimit]) -> None:
        self._trusted_proxies, self._limit = trusted_proxies, limit
        self._buckets = Buckets(rates)
        self._count: Counter[str] = Counter()
        self._address_of: dict[str, str] = {}

    def admission_delay(self, request: web.Request) -> float:
        """Return 0 and count a handshake, or the seconds after which the client may try again."""
        address = self._address(request)
        if self._count[address] >= self._limit:
            metrics.LIMITED.labels("address_connections").inc()
            return FULL_RETRY_SECONDS
        if wait := self._buckets.take("handshakes", address, time.monotonic()):
            metrics.LIMITED.labels("handshakes").inc()
        return wait

    def connection_opened(self, eio_sid: str, request: web.Request) -> None:
        """Count a connection."""
        address = self._address(request)
        self._address_of[eio_sid] = address
        self._count[address] += 1

    def connection_closed(self, eio_sid: str) -> None:
        """Forget a connection; an unknown one is ignored."""
        if (address := self._address_of.pop(eio_sid, None)) is not None:
            self._count[address] -= 1
            if not self._count[address]:
                del self._count[address]

    def _address(self, request: web.Request) -> str:
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", []))
        hops = [one.strip() for one in forwarded.split(",") if one.strip()]
        if self._trusted_proxies and len(hops) >= self._trusted_proxies:
            return _subscriber(hops[-self._trusted_proxies])
        return _subscriber(request.remote or "")


def _subscriber(address: str) -> str:
    """Return the /64 network of an IPv6 address, and any other address as it is."""
    if ":" not in address:
        return address
    try:
        ip = IPv6Address(address)
    except ValueError:  # a proxy may write what it likes
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{IPv6Address(int(ip) >> 64 << 64)}/64"
