"""The limits per client address, with and without trusted proxies."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from rts_server.engine.addresses import FULL_RETRY_SECONDS, Addresses
from rts_server.rates import RateLimit

OFTEN = {"handshakes": RateLimit(1_000, 1_000)}


def request(*forwarded: str) -> web.Request:
    """A handshake request without a peer address."""
    headers = CIMultiDict(("X-Forwarded-For", one) for one in forwarded)
    return make_mocked_request("GET", "/socket.io/", headers=headers)


def opened(addresses: Addresses, requests: Iterable[web.Request]) -> list[bool]:
    """Open connections one after the other; return which were admitted."""
    may = []
    for number, one in enumerate(requests):
        may.append(not addresses.admission_delay(one))
        if may[-1]:
            addresses.connection_opened(str(number), one)
    return may


def test_a_connection_above_the_limit_of_an_address_waits_for_another_to_close() -> None:
    """Open connections stay; a closed one makes room and leaves nothing behind."""
    addresses = Addresses(0, 2, OFTEN)
    assert opened(addresses, [request("9.9.9.9")] * 3) == [True, True, False]
    assert addresses.admission_delay(request()) == FULL_RETRY_SECONDS
    addresses.connection_closed("0")
    assert addresses.admission_delay(request()) == 0
    addresses.connection_closed("1")
    addresses.connection_closed("never")
    assert not any(vars(addresses)[name] for name in ("_count", "_address_of"))


def test_connections_are_opened_at_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate holds for each address, also if connections are closed at once."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    addresses = Addresses(1, 100, {"handshakes": RateLimit(2, 3)})
    assert [addresses.admission_delay(request("1.1.1.1")) for _ in range(4)] == [0, 0, 0, 0.5]
    assert addresses.admission_delay(request("2.2.2.2")) == 0
    now[0] = 100.5
    assert [addresses.admission_delay(request("1.1.1.1")) for _ in range(2)] == [0, 0.5]


def test_only_the_configured_number_of_proxies_is_trusted() -> None:
    """An entry that a client writes into the header stands further left and is ignored."""
    addresses = Addresses(2, 1, OFTEN)
    told = ["6.6.6.6, 1.1.1.1, 10.0.0.1", "7.7.7.7, 1.1.1.1, 10.0.0.2", "2.2.2.2, 10.0.0.1"]
    assert opened(addresses, map(request, told)) == [True, False, True]


def test_a_repeated_header_is_one_list() -> None:
    """A proxy may add a header line of its own: the last entry of all lines counts."""
    addresses = Addresses(1, 1, OFTEN)
    requests = [request("6.6.6.6", "1.1.1.1"), request("7.7.7.7", "1.1.1.1")]
    assert opened(addresses, requests) == [True, False]


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ("2001:db8:1:2::1", "2001:DB8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:1.1.1.1", "::ffff:2.2.2.2", False),
        ("::ffff:1.1.1.1", "1.1.1.1", True),
        ("1.1.1.1:8080", "1.1.1.1:8080", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_a_subscriber_of_ipv6_is_one_address(first: str, second: str, one: bool) -> None:
    """A /64 network counts as one address; each IPv4 address counts, however it is written."""
    addresses = Addresses(1, 1, OFTEN)
    assert opened(addresses, [request(first), request(second)]) == [True, not one]
