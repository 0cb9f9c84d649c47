"""aiohttp serves a connection until the handshake; afterwards it keeps nothing of it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.web_protocol import RequestHandler
from engineio import packet as eio

from rts_server.engine.server import Server
from tests.helpers.raw import QUERY, Raw, masked
from tests.helpers.serving import serving
from tests.helpers.waiting import PATIENCE, eventually

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def handshake(path: str = QUERY) -> bytes:
    """The request of a handshake."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


async def opened(url: str, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which bytes were sent."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(first)
    return reader, writer


async def test_the_handshake_follows_rfc_6455() -> None:
    """The accepted key is that of RFC 6455, 1.3, and the first packet follows at once."""
    async with serving() as (_, url):
        reader, writer = await opened(url, handshake())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 101 ")
        told = dict(line.lower().split(": ") for line in head.split("\r\n")[1:] if line)
        assert (told["upgrade"], told["connection"]) == ("websocket", "upgrade")
        assert told["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".lower()
        frame = await reader.readexactly(2)
        first = eio.Packet(encoded_packet=(await reader.readexactly(frame[1])).decode())
        assert first.packet_type == eio.OPEN
        writer.close()


@pytest.mark.parametrize("query", [QUERY, QUERY.replace("websocket", "polling")])
async def test_a_handshake_refused_for_now_closes_its_connection(query: str) -> None:
    """Above the limit of an address, or while draining, the connection is closed."""
    only: dict[str, Any] = {"address_connections": 1, "rate_limits": "standard"}
    async with serving(transports="polling,websocket", **only) as (server, url), Raw(url) as first:
        for reason in (b"429", b"503"):
            reader, writer = await opened(url, handshake(query))
            async with asyncio.timeout(PATIENCE):
                told = await reader.read(-1)  # to its end
            assert told.split(b" ")[1] == reason
            writer.close()
            server.refuse_new_connections()
        assert not first.closed


async def test_frames_sent_with_the_handshake_are_handled_after_it() -> None:
    """Frames in the same write as the handshake are handled, even if incomplete."""
    hasty = masked('40/chat,{"token":"t"}') + masked('42/chat,1["early"]')
    async with serving() as (server, url):
        chat: Any = server.namespace_handlers["/chat"]
        for cut in (len(hasty), 3, 0):
            reader, writer = await opened(url, handshake() + hasty[:cut])
            await reader.readuntil(b"\r\n\r\n")
            writer.write(hasty[cut:])
            await reader.readuntil(b'43/chat,1[{"ok":')
            writer.close()
        assert [name for _, name in chat.heard] == ["early"] * 3


async def test_requests_before_it_are_answered_on_the_same_connection() -> None:
    """A keep-alive connection can become a WebSocket."""
    async with serving() as (_, url):
        plain = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
        reader, writer = await opened(url, plain + handshake())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        await reader.readuntil(b"HTTP/1.1 101 ")
        await reader.readuntil(b'0{"sid":')
        writer.close()


def handlers() -> set[int]:
    """The connections of aiohttp in this process, those of other tests included."""
    gc.collect()
    return {id(one) for one in gc.get_objects() if isinstance(one, RequestHandler)}


async def test_aiohttp_keeps_nothing_of_a_websocket() -> None:
    """A WebSocket has no handler, request or task of aiohttp."""
    others = handlers()
    async with serving() as (_, url), Raw(url) as client:
        before = len(asyncio.all_tasks())
        await client.join("any", "/chat")
        assert handlers() <= others
        assert len(asyncio.all_tasks()) == before


async def leaves(client: Raw, _: Server, __: str) -> None:
    """Send a WebSocket CLOSE."""
    assert client._ws is not None
    await client._ws.close()


async def vanishes(client: Raw, _: Server, __: str) -> None:
    """Break the transport."""
    assert client._ws is not None
    transport: Any = client._ws._writer.transport
    transport.abort()


async def says_goodbye(client: Raw, _: Server, __: str) -> None:
    """Send an Engine.IO CLOSE."""
    await client.send("1")


async def talks_nonsense(client: Raw, _: Server, __: str) -> None:
    """Send an invalid frame."""
    assert client._ws is not None
    transport: Any = client._ws._writer.transport
    transport.write(b"\xff\xff\xff")


async def close_by_server(client: Raw, server: Server, eio_sid: str) -> None:
    """Be closed by the server with `session.closing`."""
    server.close(eio_sid, "draining")
    await client.until(lambda: client.closed)


async def is_dropped(_: Raw, server: Server, eio_sid: str) -> None:
    """Be aborted by the server."""
    server.abort(eio_sid)


ENDS = [leaves, vanishes, says_goodbye, talks_nonsense, close_by_server, is_dropped]


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_is_left_of_a_connection_however_it_ends(
    end: Callable[[Raw, Server, str], Awaitable[None]],
) -> None:
    """Session, transport and queue are freed without the garbage collector."""
    async with serving() as (server, url):
        async with Raw(url) as client:
            await client.join("any", "/chat")
            (eio_sid,) = server.eio.sockets
            left = weakref.ref(server.eio.sockets[eio_sid])
            wire = weakref.ref(server.eio.sockets[eio_sid]._transport)
            gc.disable()
            try:
                await end(client, server, eio_sid)
                await eventually(lambda: not server.eio.sockets)
                await eventually(lambda: left() is None and wire() is None)
            finally:
                gc.enable()
        assert (server.environ, server.manager._sids) == ({}, {})


async def test_a_shutdown_ends_the_remaining_sessions() -> None:
    """Namespaces are left before the server has gone."""
    async with serving() as (server, url):
        client = Raw(url)
        await client.__aenter__()
        await client.join("any", "/chat")
    assert (server.eio.sockets, server.manager._sids) == ({}, {})
    await client.until(lambda: client.closed)
    await client.__aexit__()
