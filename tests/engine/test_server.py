"""Closing as socket.io-client sees it: each code lets the client reconnect or keeps it away."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rts_server import metrics
from rts_server.engine import frames
from rts_server.engine.closing import FINAL, RECONNECT
from rts_server.engine.outgoing import MAX_DROPPABLE_PENDING_BYTES
from rts_server.engine.packets import Encoded, event_packet
from rts_server.engine.server import Server
from tests.helpers.js_client import JsClient
from tests.helpers.raw import Raw
from tests.helpers.serving import serving
from tests.helpers.waiting import eventually


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, str]]:
    """A server with two namespaces, and its address."""
    async with serving() as running:
        yield running


def happened(client: JsClient) -> list[str]:
    """The events of the connection, in order."""
    kinds = [str(line.get("reason") or line["kind"]) for line in client.lines]
    return [kind for kind in kinds if kind not in ("event", "joined")]


@pytest.mark.parametrize("code", sorted(RECONNECT | FINAL))
async def test_each_close_code_ends_the_connection_as_the_catalogue_says(
    served: tuple[Server, str], code: str
) -> None:
    """`session.closing` comes first; then the transport ends or every namespace is left."""
    server, url = served
    async with JsClient() as client:
        await client.connect(url, "any")
        await client.join("/receipts")
        (eio_sid,) = server.eio.sockets
        server.close(eio_sid, code)
        closing = await client.wait_for(lambda e: bool(e["type"] == "session.closing"))
        assert (closing["data"]["code"], closing["data"]["reconnect"]) == (code, code in RECONNECT)
        if code in RECONNECT:
            await client.until(lambda: happened(client).count("connect") == 2)
            assert happened(client) == ["connect", "transport close", "connect"]
        else:
            await client.until(lambda: "io server disconnect" in happened(client))
            await eventually(lambda: not server.manager.sid_from_eio_sid(eio_sid, "/chat"))
            assert happened(client) == ["connect", "io server disconnect"]


async def test_droppable_packets_are_shed_for_a_slow_reader(
    served: tuple[Server, str],
) -> None:
    """With 64 KiB waiting, droppable packets are shed and counted; others are written."""
    server, url = served
    async with Raw(url) as client:
        await client.join("any", "/chat")
        (eio_sid,) = server.eio.sockets

        def packet(kind: str, size: int = 0) -> Encoded:
            return event_packet("/chat", kind, f'{{"type":"{kind}","data":"{"x" * size}"}}')

        out = server.outgoing(eio_sid)
        assert out.write_droppable(packet("spared.first"))
        out.write(packet("large", MAX_DROPPABLE_PENDING_BYTES))
        assert not out.write_droppable(packet("spared.second"))
        out.write(packet("last"))
        await client.until(lambda: len(client.events) >= 3)
        assert [e["type"] for e in client.events] == ["spared.first", "large", "last"]
        assert out.write_droppable(packet("spared.third"))


async def test_a_reader_too_slow_is_closed_with_its_reason_and_counted(
    served: tuple[Server, str],
) -> None:
    """A packet that does not fit is not written; the client may reconnect."""
    server, url = served
    before = metrics.SLOW_CONSUMERS._value.get()
    async with Raw(url) as client:
        await client.join("any", "/chat")
        (eio_sid,) = server.eio.sockets
        large = event_packet("/chat", "large", f'{{"type":"large","data":"{"x" * 400_000}"}}')
        for _ in range(3):
            server.outgoing(eio_sid).write(large)
        await client.until(lambda: client.closed)
        assert [e["type"] for e in client.events] == ["large", "large", "session.closing"]
        assert client.events[-1]["data"]["code"] == "slow_consumer"
    assert metrics.SLOW_CONSUMERS._value.get() == before + 1


async def test_a_connect_of_an_ended_connection_opens_no_session(
    served: tuple[Server, str],
) -> None:
    """A CONNECT that waited until its connection ended opens no session."""
    server, _ = served
    await server._connect("gone", frames.parse("0/chat,{}"))
    assert server.manager._sids == {}


async def test_packets_for_an_ended_connection_are_dropped(served: tuple[Server, str]) -> None:
    """The queue of a connection that has ended drops packets."""
    server, url = served
    async with Raw(url) as client:
        await client.join("any", "/chat")
        (eio_sid,) = server.eio.sockets
        out = server.outgoing(eio_sid)
    await eventually(lambda: not server.eio.sockets)
    for way in (out, server.outgoing(eio_sid)):
        way.write(event_packet("/chat", "late", "{}"))
        assert way.bytes == 0
