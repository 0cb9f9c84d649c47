"""An echo server and a client of it, for the tests of the published protocols."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
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
TIMELESS: dict[str, Any] = BOTH | dict.fromkeys(
    ("ping_interval", "ping_timeout", "connect_deadline"), 10 * PATIENCE
)
"""No timer of the server ends a connection while a test waits for its end."""
Ws = aiohttp.ClientWebSocketResponse
CLOSING = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING)


class Mirror(socketio.AsyncNamespace):  # type: ignore[misc]
    """Sends back the `auth` of a CONNECT, and each message as `message-back` or in its ack."""

    def __init__(self, name: str, server: Server) -> None:
        super().__init__(name)
        self._server = server
        self._auth: dict[str, Any] = {}

    async def trigger_event(self, event: str, *args: Any) -> None:
        """Keep the `auth` of a CONNECT."""
        if event == "connect":
            self._auth[args[0]] = args[2]["auth"] if len(args) > 2 else args[1]["auth"]

    def connected(self, sid: str) -> None:
        """Send the `auth` of the CONNECT."""
        self._say(sid, f'["auth",{json.dumps(self._auth.pop(sid), separators=(",", ":"))}]')

    def receive(self, sid: str, frame: Frame) -> None:
        """Send the arguments back."""
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
        """Return status and body of a request."""
        address = f"{self._url}/socket.io/?{query}"
        async with self._http.request(method, address, data=body) as answer:
            return answer.status, await answer.text()

    async def handshake(self) -> str:
        """Open a polling session; return its query."""
        _, text = await self.ask("GET", "EIO=4&transport=polling")
        return f"EIO=4&transport=polling&sid={json.loads(text[1:])['sid']}"

    async def waits(self) -> None:
        """Return when a poll has arrived and waits."""
        sockets = self._server.eio.sockets
        await eventually(lambda: any(socket.polled for socket in sockets.values()))

    async def websocket(self, query: str = "EIO=4&transport=websocket") -> Ws:
        """Return an open WebSocket."""
        return await self._http.ws_connect(f"{self._url}/socket.io/?{query}")


async def next_packet(ws: Ws) -> str:
    """Return the next text message."""
    message = await ws.receive(PATIENCE)
    assert message.type is aiohttp.WSMsgType.TEXT, message
    text: str = message.data
    return text


async def closed(ws: Ws) -> None:
    """Return when the WebSocket is closed; messages before are ignored."""
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
    """A client of an echo server, or of one with namespaces."""
    names = () if echo else ("/", "/custom")
    patience = aiohttp.ClientTimeout(PATIENCE)
    async with (
        serving(Mirror, names, EchoServer if echo else Server, **settings) as (server, url),
        aiohttp.ClientSession(timeout=patience) as http,
    ):
        yield Client(url, http, server), server
