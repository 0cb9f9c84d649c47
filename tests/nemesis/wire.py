"""Two clients with one connection each: hand-made frames, and the real socket.io-client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

import aiohttp

from tests.helpers.js_client import JsClient, Json

QUERY = "/socket.io/?EIO=4&transport=websocket"
OPEN_WITHIN = 6.0
SILENCE = 7.0
"""Seconds without a PING after which the server counts as gone (3 + 3 s in the cluster)."""
NAMESPACES = {"receipt": "/receipts", "unread": "/receipts", "typing": "/presence"}
Listener = Callable[[Json], None]
Answered = Callable[[Json], None]


class Closed(Exception):
    """The connection has ended."""


class Wire(Protocol):
    """A connection to all three namespaces. `ended` is set when it has ended."""

    ended: asyncio.Event

    async def open(self, url: str, token: str, cursors: Json) -> None: ...
    def say(self, event: str, data: Json, answered: Answered) -> None: ...
    async def close(self) -> None: ...


class Frames:
    """Socket.IO by hand over aiohttp: a second ack of a command is noticed."""

    def __init__(self, heard: Listener) -> None:
        self.ended = asyncio.Event()
        self._heard = heard
        self._ids = count()
        self._waiting: dict[int, Answered] = {}
        self._http = aiohttp.ClientSession()
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._task: asyncio.Task[None] | None = None
        self._joined = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()

    async def open(self, url: str, token: str, cursors: Json) -> None:
        """Connect and join. Raises OSError, TimeoutError, ClientError, Closed."""
        async with asyncio.timeout(OPEN_WITHIN):
            self._ws = await self._http.ws_connect(url + QUERY, max_msg_size=0)
            self._task = asyncio.create_task(self._read(self._ws))
            auth = json.dumps({"token": token, "cursors": cursors})
            for namespace in sorted(set(NAMESPACES.values())):
                await self._ws.send_str(f"40{namespace},{json.dumps({'token': token})}")
            await self._ws.send_str(f"40/chat,{auth}")
            await self._joined.wait()
        if self.ended.is_set():
            raise Closed

    def say(self, event: str, data: Json, answered: Answered) -> None:
        """Send a command; frames are sent in the order of the calls."""
        number = next(self._ids)
        self._waiting[number] = answered
        namespace = NAMESPACES.get(event.split(".")[0], "/chat")
        task = asyncio.create_task(self._send(f"42{namespace},{number}{json.dumps([event, data])}"))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Abort the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._http.close()
        self._over()

    async def _send(self, frame: str) -> None:
        if self._ws is not None:
            with suppress(ConnectionError, aiohttp.ClientError):
                await self._ws.send_str(frame)

    def _over(self) -> None:
        self.ended.set()
        self._joined.set()

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while True:
                message = await ws.receive(SILENCE)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                await self._take(ws, message.data)
        except (TimeoutError, OSError, aiohttp.ClientError):
            return
        finally:
            self._over()
            await _abort(ws)

    async def _take(self, ws: aiohttp.ClientWebSocketResponse, text: str) -> None:
        if text == "2":
            await ws.send_str("3")
        elif text.startswith("42/"):
            self._heard(json.loads(text.partition(",")[2])[1])
        elif text.startswith("43/"):
            head, _, body = text.partition(",")[2].partition("[")
            self._waiting[int(head)](json.loads("[" + body)[0])
        elif text.startswith("40/chat,"):
            self._joined.set()
        elif text.startswith(("44/", "41/")):
            self._over()


async def _abort(ws: aiohttp.ClientWebSocketResponse) -> None:
    """Abort a connection without the closing handshake, which might never be answered."""
    connection = ws._response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    with suppress(ConnectionError, aiohttp.ClientError):
        await ws.close()


class Stock:
    """The real socket.io-client, with a new socket per connection and without reconnecting."""

    def __init__(self, heard: Listener) -> None:
        self.ended = asyncio.Event()
        self._client = _Client(heard, self.ended)
        self._asking: set[asyncio.Task[None]] = set()

    async def open(self, url: str, token: str, cursors: Json) -> None:
        """Connect and join. Raises TimeoutError, ConnectionError, ConnectRefused."""
        await self._client.start()
        await self._client.connect(
            url, token, cursors=cursors, timeout=OPEN_WITHIN, reconnection=False
        )
        async with asyncio.timeout(OPEN_WITHIN):
            for namespace in sorted(set(NAMESPACES.values())):
                await self._client.join(namespace)

    def say(self, event: str, data: Json, answered: Answered) -> None:
        """Send a command; frames are sent in the order of the calls."""
        task = asyncio.create_task(self._ask(event, data, answered))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _ask(self, event: str, data: Json, answered: Answered) -> None:
        with suppress(TimeoutError, ConnectionError):
            answered(await self._client.emit(event, data, timeout=3_600.0))

    async def close(self) -> None:
        """End the connection and give the Node process back."""
        self.ended.set()
        for task in list(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._client.close()


class _Client(JsClient):
    """Reports every line when it is read."""

    def __init__(self, heard: Listener, ended: asyncio.Event) -> None:
        super().__init__()
        self._heard, self._ended = heard, ended

    def _note(self, line: Json) -> None:
        super()._note(line)
        if line["kind"] == "event":
            self._heard(line["data"])
        elif line["kind"] in ("disconnect", "connect_error"):
            self._ended.set()


def wire(kind: str, heard: Listener) -> Wire:
    """Create a client: `frames` or `stock`."""
    made: dict[str, Any] = {"frames": Frames, "stock": Stock}
    chosen: Wire = made[kind](heard)
    return chosen
