"""Engine.IO protocol 4 as published, case by case, with our own engine.

Binary packets and payloads are left out: this server refuses them by design.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from rts_server.engine.server import Server
from tests.engine.conformance import (
    BOTH,
    HASTY,
    TIMELESS,
    Client,
    Ws,
    client_of,
    closed,
    next_packet,
)
from tests.helpers.waiting import eventually


@pytest.fixture
async def engine() -> AsyncIterator[Client]:
    """A client of an echo server."""
    async for client, _ in client_of(BOTH, echo=True):
        yield client


@pytest.fixture
async def hasty() -> AsyncIterator[tuple[Client, Server]]:
    """The same with a ping each second, to be answered within two."""
    async for both in client_of(HASTY, echo=True):
        yield both


@pytest.fixture
async def timeless() -> AsyncIterator[Client]:
    """A client of a server that closes nothing by a timer."""
    async for client, _ in client_of(TIMELESS, echo=True):
        yield client


# Engine.IO: handshake


def opening(text: str) -> dict[str, Any]:
    """The OPEN packet, which has exactly these fields."""
    told: dict[str, Any] = json.loads(text.removeprefix("0"))
    assert set(told) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert isinstance(told["sid"], str)
    times = told["pingInterval"], told["pingTimeout"]
    assert (*times, told["maxPayload"]) == (15_000, 10_000, 65_536)
    return told


async def test_polling_opens_with_an_upgrade(engine: Client) -> None:
    """The first poll is answered with OPEN, which offers the upgrade."""
    status, text = await engine.ask("GET", "EIO=4&transport=polling")
    assert (status, opening(text)["upgrades"]) == (200, ["websocket"])


async def test_a_websocket_opens_without_one(engine: Client) -> None:
    """The first message is OPEN, without upgrades."""
    ws = await engine.websocket()
    assert opening(await next_packet(ws))["upgrades"] == []
    await ws.close()


@pytest.mark.parametrize("query", ["transport=%s", "EIO=abc&transport=%s", "EIO=3&transport=%s"])
async def test_another_version_is_refused(engine: Client, query: str) -> None:
    """EIO is missing or not 4."""
    assert (await engine.ask("GET", query % "polling"))[0] == 400
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await engine.websocket(query % "websocket")


@pytest.mark.parametrize("query", ["EIO=4", "EIO=4&transport=abc", "EIO=4&transport="])
async def test_a_request_without_a_known_transport_is_refused(engine: Client, query: str) -> None:
    """A request without a known transport is refused."""
    assert (await engine.ask("GET", query))[0] == 400
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await engine.websocket(query)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_session_begins_with_a_get(engine: Client, method: str) -> None:
    """No other method opens a session."""
    assert (await engine.ask(method, "EIO=4&transport=polling"))[0] == 400
    if method != "POST":
        assert (await engine.ask(method, await engine.handshake()))[0] == 400


async def test_jsonp_is_refused(engine: Client) -> None:
    """JSONP lets any page read the answer."""
    status, text = await engine.ask("GET", "EIO=4&transport=polling&j=0")
    assert (status, "___eio" in text) == (400, False)
    assert (await engine.ask("POST", await engine.handshake() + "&j=0", "4hello"))[0] == 400


# Engine.IO: messages


async def test_a_post_is_answered_ok_and_its_echo_comes_by_a_poll(engine: Client) -> None:
    """One packet in a body, then several."""
    session = await engine.handshake()
    for body in ("4hello", "4test1\x1e4test2\x1e4test3"):
        assert await engine.ask("POST", session, body) == (200, "ok")
        assert await engine.ask("GET", session) == (200, body)


async def test_a_malformed_packet_ends_a_polling_session(engine: Client) -> None:
    """The POST is answered 400, and so is every later request."""
    session = await engine.handshake()
    assert (await engine.ask("POST", session, "abc"))[0] == 400
    assert (await engine.ask("GET", session))[0] == 400


async def test_a_second_poll_ends_both_and_the_session(engine: Client) -> None:
    """The first poll is answered with CLOSE, the second is refused."""
    session = await engine.handshake()
    first = asyncio.ensure_future(engine.ask("GET", session))
    await engine.waits()
    second = await engine.ask("GET", session)
    assert sorted([await first, (second[0], "")]) == [(200, "1"), (400, "")]
    assert (await engine.ask("GET", session))[0] == 400


async def test_a_poll_that_was_given_up_ends_the_session(engine: Client) -> None:
    """Its packets would be lost."""
    session = await engine.handshake()
    given_up = asyncio.ensure_future(engine.ask("GET", session))
    await engine.waits()
    given_up.cancel()
    await asyncio.wait([given_up])
    assert (await engine.ask("GET", session))[0] == 400
    assert (await engine.ask("POST", session, "4hello"))[0] == 400


async def test_a_websocket_message_is_echoed(engine: Client) -> None:
    """Each text message is a packet."""
    ws = await engine.websocket()
    await next_packet(ws)
    await ws.send_str("4hello")
    assert await next_packet(ws) == "4hello"
    await ws.close()


async def test_a_malformed_packet_ends_a_websocket(timeless: Client) -> None:
    """It is closed at once, not by the next heartbeat."""
    ws = await timeless.websocket()
    await ws.send_str("abc")
    await closed(ws)


# Engine.IO: heartbeat


async def test_pings_come_by_polls_and_are_answered_by_posts(
    hasty: tuple[Client, Server],
) -> None:
    """A poll returns the PING alone."""
    client, _ = hasty
    session = await client.handshake()
    for _ in range(3):
        assert await client.ask("GET", session) == (200, "2")
        assert await client.ask("POST", session, "3") == (200, "ok")


async def test_pings_come_by_a_websocket(hasty: tuple[Client, Server]) -> None:
    """A client that answers them stays connected."""
    ws = await hasty[0].websocket()
    await next_packet(ws)
    for _ in range(3):
        assert await next_packet(ws) == "2"
        await ws.send_str("3")
    await ws.close()


async def test_a_client_that_does_not_answer_pings_is_closed(hasty: tuple[Client, Server]) -> None:
    """Without a PONG a polling session ends and a WebSocket is closed."""
    client, server = hasty
    session, ws = await client.handshake(), await client.websocket()
    await closed(ws)
    await eventually(lambda: not server.eio.sockets)
    assert (await client.ask("GET", session))[0] == 400


# Engine.IO: the end, and the upgrade


async def test_close_by_a_post_ends_the_poll_that_waits(engine: Client) -> None:
    """The waiting poll is answered with a NOOP."""
    session = await engine.handshake()
    waiting = asyncio.ensure_future(engine.ask("GET", session))
    await engine.waits()
    assert await engine.ask("POST", session, "1") == (200, "ok")
    assert await waiting == (200, "6")
    assert (await engine.ask("GET", session))[0] == 400


async def test_close_by_a_websocket_closes_it(engine: Client) -> None:
    """The end of the session closes the transport."""
    ws = await engine.websocket()
    await ws.send_str("1")
    await closed(ws)


async def upgraded(engine: Client, session: str) -> Ws:
    """Upgrade a polling session as the protocol says; return its WebSocket."""
    ws = await engine.websocket(session.replace("polling", "websocket"))
    await ws.send_str("2probe")
    assert await next_packet(ws) == "3probe"
    assert await engine.ask("GET", session) == (200, "6")
    await ws.send_str("5")
    return ws


@pytest.mark.parametrize("waits", [True, False], ids=["a poll waits", "none does"])
async def test_an_upgrade_brings_no_noop_to_the_websocket(engine: Client, waits: bool) -> None:
    """The NOOP answers a poll; the first message of the WebSocket is the echo."""
    session = await engine.handshake()
    poll = asyncio.ensure_future(engine.ask("GET", session)) if waits else None
    if waits:
        await engine.waits()
    ws = await upgraded(engine, session)
    if poll is not None:
        assert await poll == (200, "6")
    await ws.send_str("4hello")
    assert await next_packet(ws) == "4hello"
    await ws.close()


async def test_polls_after_an_upgrade_are_refused(engine: Client) -> None:
    """Polls and POSTs are answered 400, and the WebSocket goes on."""
    session = await engine.handshake()
    ws = await upgraded(engine, session)
    await ws.send_str("4a")
    assert await next_packet(ws) == "4a"
    assert (await engine.ask("GET", session))[0] == 400
    assert (await engine.ask("POST", session, "4b"))[0] == 400
    await ws.send_str("4hello")
    assert await next_packet(ws) == "4hello"
    await ws.close()


async def test_a_second_websocket_of_a_session_is_closed(engine: Client) -> None:
    """The first WebSocket goes on, also while it is being probed."""
    session = await engine.handshake()
    probing = await engine.websocket(session.replace("polling", "websocket"))
    await closed(await engine.websocket(session.replace("polling", "websocket")))
    await probing.close()
    ws = await upgraded(engine, await engine.handshake())
    await ws.send_str("4hello")
    assert await next_packet(ws) == "4hello"
    await ws.close()


async def test_an_upgrade_of_no_session_is_refused(engine: Client) -> None:
    """The sid is unknown, or its session has ended."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await engine.websocket("EIO=4&transport=websocket&sid=nobody%0Aforged")
    assert refused.value.status == 400


# Engine.IO: what a POST may hold


@pytest.mark.parametrize("packet", ["0", "2", "6", "2probe", "5", "3", "bAAEC"])
async def test_a_packet_of_an_unused_type_is_dropped(engine: Client, packet: str) -> None:
    """A POST is answered at once, and the session goes on."""
    session = await engine.handshake()
    assert await engine.ask("POST", session, packet) == (200, "ok")
    assert await engine.ask("POST", session, "4hello") == (200, "ok")
    polled = await engine.ask("GET", session)
    assert (polled[0], polled[1].endswith("4hello")) == (200, True)
