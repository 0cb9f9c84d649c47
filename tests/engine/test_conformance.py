"""The published protocols, case by case: Engine.IO v4 and Socket.IO v5, with our own engine, server
and manager under namespaces of a test.

Left out is what this protocol refuses by design: binary packets and payloads, the text of the error
for an unknown namespace.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import socketio

from rts_server.engine.frames import Frame
from rts_server.engine.packets import Encoded, ack_packet
from rts_server.engine.server import Server
from tests.helpers.raw import QUERY
from tests.helpers.serving import serving
from tests.helpers.waiting import PATIENCE, eventually

BOTH: dict[str, Any] = {"transports": "polling,websocket"}
POLLING = QUERY.replace("websocket", "polling")
HASTY: dict[str, Any] = BOTH | {"ping_interval": 1.0, "ping_timeout": 2.0}
Ws = aiohttp.ClientWebSocketResponse
CLOSING = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)


class Mirror(socketio.AsyncNamespace):  # type: ignore[misc]
    """Says what it was given: `auth` at the connect, `message-back` or an ack to a message."""

    def __init__(self, name: str, server: Server) -> None:
        super().__init__(name)
        self._server = server
        self._auth: dict[str, Any] = {}

    async def trigger_event(self, event: str, *args: Any) -> None:
        """Keep what came with the CONNECT."""
        if event == "connect":
            self._auth[args[0]] = args[2]["auth"] if len(args) > 2 else args[1]["auth"]

    def connected(self, sid: str) -> None:
        """Say it."""
        self._say(sid, f'["auth",{json.dumps(self._auth.pop(sid), separators=(",", ":"))}]')

    def receive(self, sid: str, frame: Frame) -> None:
        """Give it back."""
        _, *given = frame.data
        if frame.ack_id is None:
            back = json.dumps(["message-back", *given], separators=(",", ":"))
            self._say(sid, back)
            return
        eio_sid = self._server.manager.eio_sid_from_sid(sid, self.namespace)
        packet = ack_packet(self.namespace, frame.ack_id, {"given": given})
        self._server.outgoing(eio_sid).write(packet)

    def _say(self, sid: str, text: str) -> None:
        prefix = "" if self.namespace == "/" else f"{self.namespace},"
        eio_sid = self._server.manager.eio_sid_from_sid(sid, self.namespace)
        self._server.outgoing(eio_sid).write(Encoded(f"2{prefix}{text}"))


class Client:
    """A client of HTTP and WebSockets at the server's address."""

    def __init__(self, url: str, http: aiohttp.ClientSession, server: Server) -> None:
        self._url, self._http, self._server = url, http, server

    async def ask(self, method: str, query: str, body: str | None = None) -> tuple[int, str]:
        """Status and body of a request."""
        address = f"{self._url}/socket.io/?{query}"
        async with self._http.request(method, address, data=body) as answer:
            return answer.status, await answer.text()

    async def handshake(self) -> str:
        """The query of a polling session."""
        _, text = await self.ask("GET", "EIO=4&transport=polling")
        return f"EIO=4&transport=polling&sid={json.loads(text[1:])['sid']}"

    async def waits(self) -> None:
        """A poll has arrived and waits."""
        sockets = self._server.eio.sockets
        await eventually(lambda: any(socket.polled for socket in sockets.values()))

    async def websocket(self, query: str = "EIO=4&transport=websocket") -> Ws:
        """An open one."""
        return await self._http.ws_connect(f"{self._url}/socket.io/?{query}")


async def said(ws: Ws) -> str:
    """The next text."""
    message = await ws.receive(PATIENCE)
    assert message.type is aiohttp.WSMsgType.TEXT, message
    text: str = message.data
    return text


async def closed(ws: Ws) -> None:
    """It is closed; what is said before is of no interest."""
    async with asyncio.timeout(PATIENCE):
        while (await ws.receive()).type not in CLOSING:
            pass


class EchoServer(Server):
    """Sends every Engine.IO message back."""

    def _message_received(self, eio_sid: str, data: Any) -> None:
        self.outgoing(eio_sid).write(Encoded(str(data)))


async def client_of(
    settings: dict[str, Any], *, echo: bool
) -> AsyncIterator[tuple[Client, Server]]:
    """A client, and a server that gives messages back or has namespaces."""
    names = () if echo else ("/", "/custom")
    patience = aiohttp.ClientTimeout(PATIENCE)
    async with (
        serving(Mirror, names, EchoServer if echo else Server, **settings) as (server, url),
        aiohttp.ClientSession(timeout=patience) as http,
    ):
        yield Client(url, http, server), server


@pytest.fixture
async def engine() -> AsyncIterator[Client]:
    """Of a server that gives every message back."""
    async for client, _ in client_of(BOTH, echo=True):
        yield client


@pytest.fixture
async def hasty() -> AsyncIterator[tuple[Client, Server]]:
    """The same, with pings each second that are to be answered within two."""
    async for both in client_of(HASTY, echo=True):
        yield both


@pytest.fixture
async def socket() -> AsyncIterator[Client]:
    """Of a server with namespaces, with the product's own timers: none of them ends anything here
    but the time for a first CONNECT.
    """
    async for client, _ in client_of(BOTH | {"connect_deadline": 1.0}, echo=False):
        yield client


# Engine.IO: handshake


def opening(text: str) -> dict[str, Any]:
    """The OPEN packet, which has these fields and no others."""
    told: dict[str, Any] = json.loads(text.removeprefix("0"))
    assert set(told) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
    assert isinstance(told["sid"], str)
    times = told["pingInterval"], told["pingTimeout"]
    assert (*times, told["maxPayload"]) == (15_000, 10_000, 65_536)
    return told


async def test_polling_opens_with_an_upgrade(engine: Client) -> None:
    """OPEN is the answer of the first poll."""
    status, text = await engine.ask("GET", "EIO=4&transport=polling")
    assert (status, opening(text)["upgrades"]) == (200, ["websocket"])


async def test_a_websocket_opens_without_one(engine: Client) -> None:
    """OPEN is the first message."""
    ws = await engine.websocket()
    assert opening(await said(ws))["upgrades"] == []
    await ws.close()


@pytest.mark.parametrize("query", ["transport=%s", "EIO=abc&transport=%s", "EIO=3&transport=%s"])
async def test_another_version_is_refused(engine: Client, query: str) -> None:
    """No EIO, or one that is not 4."""
    assert (await engine.ask("GET", query % "polling"))[0] == 400
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await engine.websocket(query % "websocket")


@pytest.mark.parametrize("query", ["EIO=4", "EIO=4&transport=abc", "EIO=4&transport="])
async def test_no_transport_is_none(engine: Client, query: str) -> None:
    """Missing it is not polling."""
    assert (await engine.ask("GET", query))[0] == 400
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await engine.websocket(query)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_session_begins_with_a_get(engine: Client, method: str) -> None:
    """Nothing else opens one, or is served in one."""
    assert (await engine.ask(method, "EIO=4&transport=polling"))[0] == 400
    if method != "POST":
        assert (await engine.ask(method, await engine.handshake()))[0] == 400


async def test_jsonp_is_refused(engine: Client) -> None:
    """A script that any page may run is no answer any more."""
    status, text = await engine.ask("GET", "EIO=4&transport=polling&j=0")
    assert (status, "___eio" in text) == (400, False)
    assert (await engine.ask("POST", await engine.handshake() + "&j=0", "4hello"))[0] == 400


# Engine.IO: messages


async def test_a_post_is_answered_ok_and_the_poll_has_the_echo(engine: Client) -> None:
    """One packet, then several in one body."""
    session = await engine.handshake()
    for body in ("4hello", "4test1\x1e4test2\x1e4test3"):
        assert await engine.ask("POST", session, body) == (200, "ok")
        assert await engine.ask("GET", session) == (200, body)


async def test_what_is_no_packet_ends_a_polling_session(engine: Client) -> None:
    """The POST is 400, and so is every request behind it."""
    session = await engine.handshake()
    assert (await engine.ask("POST", session, "abc"))[0] == 400
    assert (await engine.ask("GET", session))[0] == 400


async def test_a_second_poll_ends_both_and_the_session(engine: Client) -> None:
    """The first hears CLOSE, the second is refused."""
    session = await engine.handshake()
    first = asyncio.ensure_future(engine.ask("GET", session))
    await engine.waits()
    second = await engine.ask("GET", session)
    assert sorted([await first, (second[0], "")]) == [(200, "1"), (400, "")]
    assert (await engine.ask("GET", session))[0] == 400


async def test_a_poll_that_was_given_up_ends_the_session(engine: Client) -> None:
    """Nobody knows what it would have heard."""
    session = await engine.handshake()
    given_up = asyncio.ensure_future(engine.ask("GET", session))
    await engine.waits()
    given_up.cancel()
    await asyncio.wait([given_up])
    assert (await engine.ask("GET", session))[0] == 400
    assert (await engine.ask("POST", session, "4hello"))[0] == 400


async def test_a_websocket_has_the_echo(engine: Client) -> None:
    """A text is a packet."""
    ws = await engine.websocket()
    await said(ws)
    await ws.send_str("4hello")
    assert await said(ws) == "4hello"
    await ws.close()


async def test_what_is_no_packet_ends_a_websocket(engine: Client) -> None:
    """At once, long before any heartbeat."""
    ws = await engine.websocket()
    await ws.send_str("abc")
    await closed(ws)


# Engine.IO: heartbeat


async def test_pings_come_by_polls_and_are_answered_by_posts(
    hasty: tuple[Client, Server],
) -> None:
    """Each is all that its poll brings."""
    client, _ = hasty
    session = await client.handshake()
    for _ in range(3):
        assert await client.ask("GET", session) == (200, "2")
        assert await client.ask("POST", session, "3") == (200, "ok")


async def test_pings_come_by_a_websocket(hasty: tuple[Client, Server]) -> None:
    """Who answers them stays."""
    ws = await hasty[0].websocket()
    await said(ws)
    for _ in range(3):
        assert await said(ws) == "2"
        await ws.send_str("3")
    await ws.close()


async def test_who_is_silent_is_gone(hasty: tuple[Client, Server]) -> None:
    """By polling the session is over, a WebSocket is closed."""
    client, server = hasty
    session, ws = await client.handshake(), await client.websocket()
    await closed(ws)
    await eventually(lambda: not server.eio.sockets)
    assert (await client.ask("GET", session))[0] == 400


# Engine.IO: the end, and the upgrade


async def test_close_by_a_post_ends_the_poll_that_waits(engine: Client) -> None:
    """With a NOOP: it was the client that said it."""
    session = await engine.handshake()
    waiting = asyncio.ensure_future(engine.ask("GET", session))
    await engine.waits()
    assert await engine.ask("POST", session, "1") == (200, "ok")
    assert await waiting == (200, "6")
    assert (await engine.ask("GET", session))[0] == 400


async def test_close_by_a_websocket_closes_it(engine: Client) -> None:
    """The session's end is the transport's."""
    ws = await engine.websocket()
    await ws.send_str("1")
    await closed(ws)


async def upgraded(engine: Client, session: str) -> Ws:
    """A polling session's WebSocket, by the steps of the protocol."""
    ws = await engine.websocket(session.replace("polling", "websocket"))
    await ws.send_str("2probe")
    assert await said(ws) == "3probe"
    assert await engine.ask("GET", session) == (200, "6")
    await ws.send_str("5")
    return ws


@pytest.mark.parametrize("waits", [True, False], ids=["a poll waits", "none does"])
async def test_an_upgrade_brings_no_noop_to_the_websocket(engine: Client, waits: bool) -> None:
    """The poll that waits, or the next one, has it; the echo is the first message."""
    session = await engine.handshake()
    poll = asyncio.ensure_future(engine.ask("GET", session)) if waits else None
    if waits:
        await engine.waits()
    ws = await upgraded(engine, session)
    if poll is not None:
        assert await poll == (200, "6")
    await ws.send_str("4hello")
    assert await said(ws) == "4hello"
    await ws.close()


async def test_behind_an_upgrade_polls_are_refused(engine: Client) -> None:
    """Polls and posts are 400, the WebSocket does not notice."""
    session = await engine.handshake()
    ws = await upgraded(engine, session)
    await ws.send_str("4a")
    assert await said(ws) == "4a"
    assert (await engine.ask("GET", session))[0] == 400
    assert (await engine.ask("POST", session, "4b"))[0] == 400
    await ws.send_str("4hello")
    assert await said(ws) == "4hello"
    await ws.close()


async def test_a_second_websocket_of_a_session_is_closed(engine: Client) -> None:
    """Behind a handshake of its own; the first one stays, also while it only probes."""
    session = await engine.handshake()
    probing = await engine.websocket(session.replace("polling", "websocket"))
    await closed(await engine.websocket(session.replace("polling", "websocket")))
    await probing.close()
    ws = await upgraded(engine, await engine.handshake())
    await ws.send_str("4hello")
    assert await said(ws) == "4hello"
    await ws.close()


async def test_an_upgrade_of_no_session_is_refused(engine: Client) -> None:
    """Nobody's sid, or one that is over."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await engine.websocket("EIO=4&transport=websocket&sid=nobody%0Aforged")
    assert refused.value.status == 400


# Engine.IO: what a POST may hold


@pytest.mark.parametrize("packet", ["0", "2", "6", "2probe", "5", "3", "bAAEC"])
async def test_a_packet_without_a_meaning_is_dropped(engine: Client, packet: str) -> None:
    """By a POST as by a WebSocket: answered at once, and the session goes on."""
    session = await engine.handshake()
    assert await engine.ask("POST", session, packet) == (200, "ok")
    assert await engine.ask("POST", session, "4hello") == (200, "ok")
    polled = await engine.ask("GET", session)
    assert (polled[0], polled[1].endswith("4hello")) == (200, True)


# Socket.IO


async def opened(client: Client, packet: str | None = "40") -> Ws:
    """A WebSocket, its OPEN read, and the first packet sent."""
    ws = await client.websocket()
    await said(ws)
    if packet is not None:
        await ws.send_str(packet)
    return ws


@pytest.mark.parametrize("prefix", ["", "/custom,"])
@pytest.mark.parametrize("auth", ["", '{"token":"123"}'])
async def test_a_connect_is_answered_before_anything_else(
    socket: Client, prefix: str, auth: str
) -> None:
    """CONNECT with the sid and nothing else, then what the namespace has to say."""
    ws = await opened(socket, f"40{prefix}{auth}")
    packet = await said(ws)
    assert packet.startswith(f"40{prefix}")
    told = json.loads(packet.removeprefix(f"40{prefix}"))
    assert (list(told), type(told["sid"])) == (["sid"], str)
    assert await said(ws) == f'42{prefix}["auth",{auth or "{}"}]'
    await ws.close()


async def test_an_unknown_namespace_is_an_error(socket: Client) -> None:
    """CONNECT_ERROR; in our words, with our code."""
    ws = await opened(socket, "40/random")
    packet = await said(ws)
    assert packet.startswith("44/random,{")
    assert set(json.loads(packet.removeprefix("44/random,"))) == {"message", "data"}
    await ws.close()


@pytest.mark.parametrize("packet", ["4abc", "4", "4{}", None])
async def test_who_does_not_connect_is_closed(socket: Client, packet: str | None) -> None:
    """By something else, or by nothing at all within the time for it."""
    await closed(await opened(socket, packet))


async def test_leaving_a_namespace_leaves_the_connection(socket: Client) -> None:
    """Nothing is said to it, and another namespace goes on."""
    ws = await opened(socket)
    await ws.send_str("40/custom")
    for _ in range(4):
        await said(ws)
    await ws.send_str("41/custom")
    await ws.send_str('42["message","message to main namespace"]')
    assert await said(ws) == '42["message-back","message to main namespace"]'
    await ws.close()


async def test_an_event_comes_back_as_it_was(socket: Client) -> None:
    """Byte for byte."""
    ws = await opened(socket)
    for _ in range(2):
        await said(ws)
    await ws.send_str('42["message",1,"2",{"3":[true]}]')
    assert await said(ws) == '42["message-back",1,"2",{"3":[true]}]'
    await ws.close()


async def test_an_event_with_an_id_is_acked_by_it(socket: Client) -> None:
    """With ours, as a command is answered by one object."""
    ws = await opened(socket)
    for _ in range(2):
        await said(ws)
    await ws.send_str('42456["message-with-ack",1,"2",{"3":[false]}]')
    assert await said(ws) == '43456[{"given":[1,"2",{"3":[false]}]}]'
    await ws.close()


@pytest.mark.parametrize("packet", ["4abc", "49", "42{}", '42abc["message-with-ack",1]', "42"])
async def test_a_packet_that_is_none_closes_the_connection(socket: Client, packet: str) -> None:
    """Type, payload or ack id: at once, not when a heartbeat is missed."""
    ws = await opened(socket)
    for _ in range(2):
        await said(ws)
    await ws.send_str(packet)
    await closed(ws)
