"""Socket.IO protocol 5 as published, case by case, with our own engine, server and manager.

Binary packets are left out, and the text of the error for an unknown namespace is ours.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.engine.conformance import (
    TIMELESS,
    Client,
    Ws,
    client_of,
    closed,
    next_packet,
)


@pytest.fixture
async def socket() -> AsyncIterator[Client]:
    """A client of a server with namespaces, which closes nothing by a timer."""
    async for client, _ in client_of(TIMELESS, echo=False):
        yield client


# Socket.IO


async def opened(client: Client, packet: str | None = "40") -> Ws:
    """A WebSocket whose OPEN was read and whose first packet was sent."""
    ws = await client.websocket()
    await next_packet(ws)
    if packet is not None:
        await ws.send_str(packet)
    return ws


@pytest.mark.parametrize("prefix", ["", "/custom,"])
@pytest.mark.parametrize("auth", ["", '{"token":"123"}'])
async def test_a_connect_is_answered_before_anything_else(
    socket: Client, prefix: str, auth: str
) -> None:
    """CONNECT with only the sid comes first, then what the namespace sends."""
    ws = await opened(socket, f"40{prefix}{auth}")
    packet = await next_packet(ws)
    assert packet.startswith(f"40{prefix}")
    told = json.loads(packet.removeprefix(f"40{prefix}"))
    assert (list(told), type(told["sid"])) == (["sid"], str)
    assert await next_packet(ws) == f'42{prefix}["auth",{auth or "{}"}]'
    await ws.close()


async def test_an_unknown_namespace_is_an_error(socket: Client) -> None:
    """CONNECT_ERROR has a code of the catalogue."""
    ws = await opened(socket, "40/random")
    packet = await next_packet(ws)
    assert packet.startswith("44/random,{")
    assert set(json.loads(packet.removeprefix("44/random,"))) == {"message", "data"}
    await ws.close()


@pytest.mark.parametrize("packet", ["4abc", "4", "4{}"])
async def test_a_connection_that_begins_with_another_packet_is_closed(
    socket: Client, packet: str
) -> None:
    """It is closed at once, not by the deadline for CONNECT."""
    await closed(await opened(socket, packet))


async def test_a_connection_without_connect_is_closed() -> None:
    """Nothing comes within the deadline."""
    async for client, _ in client_of(TIMELESS | {"connect_deadline": 1.0}, echo=False):
        await closed(await opened(client, None))


async def test_leaving_a_namespace_leaves_the_connection(socket: Client) -> None:
    """A DISCONNECT has no answer, and other namespaces go on."""
    ws = await opened(socket)
    await ws.send_str("40/custom")
    for _ in range(4):
        await next_packet(ws)
    await ws.send_str("41/custom")
    await ws.send_str('42["message","message to main namespace"]')
    assert await next_packet(ws) == '42["message-back","message to main namespace"]'
    await ws.close()


async def test_an_event_comes_back_as_it_was(socket: Client) -> None:
    """The JSON of an event is the same to the byte."""
    ws = await opened(socket)
    for _ in range(2):
        await next_packet(ws)
    await ws.send_str('42["message",1,"2",{"3":[true]}]')
    assert await next_packet(ws) == '42["message-back",1,"2",{"3":[true]}]'
    await ws.close()


async def test_an_event_with_an_id_is_acked_by_it(socket: Client) -> None:
    """The ack has the id of the event and one object."""
    ws = await opened(socket)
    for _ in range(2):
        await next_packet(ws)
    await ws.send_str('42456["message-with-ack",1,"2",{"3":[false]}]')
    assert await next_packet(ws) == '43456[{"given":[1,"2",{"3":[false]}]}]'
    await ws.close()


@pytest.mark.parametrize("packet", ["4abc", "49", "42{}", '42abc["message-with-ack",1]', "42"])
async def test_a_malformed_packet_closes_the_connection(socket: Client, packet: str) -> None:
    """A wrong type, payload or ack id closes it at once."""
    ws = await opened(socket)
    for _ in range(2):
        await next_packet(ws)
    await ws.send_str(packet)
    await closed(ws)
