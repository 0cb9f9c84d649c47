"""Connections by address, behind proxies that are believed or not."""

from __future__ import annotations

from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from rts_server.engine.addresses import Addresses


def request(*forwarded: str) -> object:
    """A handshake; its peer has no address here."""
    headers = CIMultiDict(("X-Forwarded-For", one) for one in forwarded)
    return make_mocked_request("GET", "/socket.io/", headers=headers)


def test_the_one_too_many_is_crowded_until_another_leaves() -> None:
    """Those who were first stay; nothing of a connection is kept when it is gone."""
    addresses = Addresses(0, 2)
    for n in range(3):
        addresses.enter(str(n), request("9.9.9.9"))  # type: ignore[arg-type]
    assert [addresses.crowded(str(n)) for n in range(3)] == [False, False, True]
    for n in range(3):
        addresses.leave(str(n))
    addresses.leave("never")
    assert not any(vars(addresses)[name] for name in ("_count", "_of", "_crowded"))


def test_only_as_many_proxies_as_there_are_are_believed() -> None:
    """What a client writes into the header itself stands further left and is nobody's address."""
    addresses = Addresses(2, 1)
    addresses.enter("a", request("6.6.6.6, 1.1.1.1, 10.0.0.1"))  # type: ignore[arg-type]
    addresses.enter("b", request("7.7.7.7, 1.1.1.1, 10.0.0.2"))  # type: ignore[arg-type]
    addresses.enter("c", request("2.2.2.2, 10.0.0.1"))  # type: ignore[arg-type]
    assert [addresses.crowded(one) for one in "abc"] == [False, True, False]


def test_a_header_said_several_times_is_one_list() -> None:
    """A proxy may add a line of its own behind the client's: the last one counts."""
    addresses = Addresses(1, 1)
    addresses.enter("a", request("6.6.6.6", "1.1.1.1"))  # type: ignore[arg-type]
    addresses.enter("b", request("7.7.7.7", "1.1.1.1"))  # type: ignore[arg-type]
    assert [addresses.crowded(one) for one in "ab"] == [False, True]
