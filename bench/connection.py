"""A client on a WebSocket with just enough Socket.IO to send, count and time."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, Self, cast

from bench import frames

WAIT_TIMEOUT_SECONDS = 20.0
IDLE_TIMEOUT_SECONDS = 5.0
MAX_REQUEST_ATTEMPTS = 10
HOST = "127.0.0.1"
_UPGRADE = (
    f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {HOST}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_PONG = frames.text(b"3")
_NEW = b'42/chat,["message.new"'
_READY = b'42/chat,["session.ready"'
_ACKS = (b"43/chat,", b"43/presence,")
_DUE = b'"text":"@'
PADDING = " the quick brown fox jumps over the lazy dog" * 3


@dataclass
class ReceivedCounts:
    """Counts what all connections of a load received; times are ns since the intended sending."""

    deliveries: list[int] = field(default_factory=list)
    acks: list[int] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    accepted: int = 0

    def clear(self) -> None:
        """Reset the counts."""
        self.deliveries, self.acks, self.refusals = [], [], []
        self.accepted = 0

    @property
    def refused(self) -> int:
        """How many acks were refusals; `refusals` has their times."""
        return len(self.refusals)

    async def wait_for(self, deliveries: int, acks: int) -> None:
        """Wait until so many have arrived; give up soon after nothing arrives any more."""
        end, had = time.monotonic() + WAIT_TIMEOUT_SECONDS, -1
        while len(self.deliveries) < deliveries or len(self.acks) < acks:
            now, have = time.monotonic(), len(self.deliveries) + len(self.acks)
            if have != had:
                had, silent = have, now + IDLE_TIMEOUT_SECONDS
            if now > min(end, silent):
                return
            await asyncio.sleep(0.001)


class Connection(asyncio.Protocol):
    """A connection of one user to `/chat`."""

    def __init__(self, token: str, seen: ReceivedCounts) -> None:
        self._token = token
        self._seen = seen
        self._transport: asyncio.Transport | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._upgraded = False
        self._rest = b""
        self._next_ack = 0
        self._due: dict[int, int] = {}
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._joined: dict[str, asyncio.Future[None]] = {}

    @classmethod
    async def open(cls, port: int, token: str, seen: ReceivedCounts) -> Self:
        """Connect and wait for the session. Raises OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WAIT_TIMEOUT_SECONDS):
            _, made = await loop.create_connection(lambda: cls(token, seen), HOST, port)
            await made._ready
        return made

    def send(self, room_id: str, due: int) -> None:
        """Send `message.send`, intended for `due` (monotonic ns); the text carries that time."""
        number = self._next_ack
        body = (
            f'{{"room_id":"{room_id}","client_msg_id":"{due}-{number}","text":"@{due};{PADDING}"}}'
        )
        self._emit("message.send", body, due)

    def send_sync(self, due: int) -> None:
        """Send the cheapest command: an event with an ack that concerns no room."""
        self._emit("sync", '{"cursors":{}}', due)

    async def request(self, name: str, payload: dict[str, Any]) -> Any:
        """Send a command until it succeeds; return its data. Raises RuntimeError if refused."""
        for attempt in range(1, MAX_REQUEST_ATTEMPTS + 1):
            answer = await self._request_once(name, payload)
            if answer["ok"]:
                return answer["data"]
            if not answer["error"]["retryable"]:
                break
            await asyncio.sleep(0.1 * attempt)
        raise RuntimeError(f"{name}: {answer['error']['message']}")

    async def join(self, namespace: str) -> None:
        """Connect another namespace. Raises TimeoutError."""
        assert self._transport is not None
        joined = self._joined[namespace] = asyncio.get_running_loop().create_future()
        auth = json.dumps({"token": self._token})
        self._transport.write(frames.text(f"40{namespace},{auth}".encode()))
        async with asyncio.timeout(WAIT_TIMEOUT_SECONDS):
            await joined

    def send_without_ack(self, namespace: str, name: str, body: str) -> None:
        """Send a command without waiting for its answer."""
        assert self._transport is not None
        self._transport.write(frames.text(f'42{namespace},["{name}",{body}]'.encode()))

    def close(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()

    async def _request_once(self, name: str, payload: dict[str, Any]) -> Any:
        future = asyncio.get_running_loop().create_future()
        self._pending[self._next_ack] = future
        self._emit(name, json.dumps(payload), time.monotonic_ns())
        async with asyncio.timeout(WAIT_TIMEOUT_SECONDS):
            return await future

    def _emit(self, name: str, body: str, due: int) -> None:
        assert self._transport is not None
        self._due[self._next_ack] = due
        namespace = "/presence" if name.startswith("presence.") else "/chat"
        packet = f'42{namespace},{self._next_ack}["{name}",{body}]'
        self._next_ack += 1
        self._transport.write(frames.text(packet.encode()))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self._transport.write(_UPGRADE.encode())

    def connection_lost(self, error: Exception | None) -> None:
        """Wake waiters when the connection is lost."""
        for future in (self._ready, *self._pending.values()):
            if not future.done():
                future.set_exception(ConnectionError("the server closed the connection"))
                future.exception()  # marked as retrieved: it need not be awaited

    def data_received(self, data: bytes) -> None:
        """Answer pings; count and time all else."""
        now = time.monotonic_ns()
        data = self._rest + data if self._rest else data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self._upgraded = head.startswith(b"HTTP/1.1 101")
        payloads, self._rest = frames.split(data)
        for payload in payloads:
            if payload.startswith(_NEW):
                _, _, text = payload.partition(_DUE)
                if text:  # a system message has none
                    self._seen.deliveries.append(now - int(text[: text.index(b";")]))
            elif payload.startswith(_ACKS):
                self._acked(payload, now)
            else:
                self._other(payload)

    def _acked(self, payload: bytes, now: int) -> None:
        at = payload.index(b"[")
        number = int(payload[payload.index(b",") + 1 : at])
        took = now - self._due.pop(number)
        self._seen.acks.append(took)
        if b'"ok":true' not in payload:
            self._seen.refusals.append(took)
        self._seen.accepted += b'"status":"accepted"' in payload
        if pending := self._pending.pop(number, None):
            pending.set_result(json.loads(payload[at:])[0])

    def _other(self, payload: bytes) -> None:
        assert self._transport is not None
        if payload == b"2":
            self._transport.write(_PONG)
        elif payload.startswith(b"0{"):
            auth = json.dumps({"token": self._token})
            self._transport.write(frames.text(f"40/chat,{auth}".encode()))
        elif payload.startswith(_READY) and not self._ready.done():
            self._ready.set_result(None)
        elif payload.startswith(b"40/") and (
            joined := self._joined.pop(payload[2:].partition(b",")[0].decode(), None)
        ):
            joined.set_result(None)
        elif not payload:
            self._transport.close()
