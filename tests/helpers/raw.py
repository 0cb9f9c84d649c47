"""A Socket.IO client made of frames, which can send what a correct client never would."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any, Self

import aiohttp
from aiohttp._websocket.helpers import websocket_mask

from tests.helpers.waiting import PATIENCE

QUERY = "/socket.io/?EIO=4&transport=websocket"


class Raw:
    """One WebSocket: `acks` by id, `events` in order of arrival, `packets` for all else."""

    def __init__(self, url: str) -> None:
        self.answers_pings = True
        self.reads = asyncio.Event()
        """While it is cleared, nothing is read, so that the server's writes back up."""
        self.reads.set()
        self._url = url
        self._http = aiohttp.ClientSession()
        self.events: list[dict[str, Any]] = []
        self.acks: dict[int, list[dict[str, Any]]] = {}
        self.packets: list[str] = []
        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Self:
        self._ws = await self._http.ws_connect(self._url + QUERY, max_msg_size=0)
        self._reader = asyncio.create_task(self._read(self._ws))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reads.set()
        if self._ws is not None:
            await self._ws.close()
        if self._reader is not None:
            await self._reader
        await self._http.close()

    @property
    def closed(self) -> bool:
        """Return whether the server has closed the transport."""
        return self._reader is not None and self._reader.done()

    async def send(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        assert self._ws is not None
        await (self._ws.send_str(frame) if isinstance(frame, str) else self._ws.send_bytes(frame))

    async def ping(self) -> None:
        """Send a WebSocket PING."""
        assert self._ws is not None
        await self._ws.ping()

    def send_together(self, *frames: str) -> None:
        """Send several frames in one write."""
        assert self._ws is not None
        self._ws._writer.transport.write(b"".join(map(masked, frames)))

    async def connect(self, token: str | None, **auth: Any) -> None:
        """Connect to /chat and wait for session.ready."""
        await self.send("40/chat," + json.dumps({"token": token, **auth}))
        await self.until(lambda: any(e["type"] == "session.ready" for e in self.events))

    async def join(self, token: str, namespace: str) -> None:
        """Connect to another namespace and wait for the answer."""
        await self.send(f"40{namespace}," + json.dumps({"token": token}))
        await self.until(
            lambda: any(packet.startswith(f"40{namespace},") for packet in self.packets)
        )

    async def ask(
        self, ack_id: int, text: str, namespace: str = "/chat", timeout: float = PATIENCE
    ) -> dict[str, Any]:
        """Send an event whose JSON is `text`; return its ack."""
        await self.send(f"42{namespace},{ack_id}{text}")
        await self.until(lambda: ack_id in self.acks or self.closed, timeout)
        if ack_id not in self.acks:
            raise ConnectionError("closed before the ack")
        (answer,) = self.acks[ack_id]
        return answer

    async def until(self, condition: Any, timeout: float = PATIENCE) -> None:
        """Wait until a condition on what arrived holds. Raises TimeoutError, with what arrived."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            latest = [*self.packets[-2:], *self.events[-3:]]
            arrived = f"{len(self.events)} events, closed: {self.closed}, latest: {latest}"
            raise TimeoutError(arrived) from None

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            await self.reads.wait()
            text = str(message.data)
            if text == "2":
                if self.answers_pings:
                    await ws.send_str("3")
            elif text.startswith("42/"):
                self.events.append(json.loads(text.partition(",")[2])[1])
            elif text.startswith("43/"):
                head, _, body = text.partition(",")[2].partition("[")
                self.acks.setdefault(int(head), []).extend(json.loads("[" + body))
            else:
                self.packets.append(text)
            self._changed.set()
        self._changed.set()


def masked(text: str) -> bytes:
    """Return a text frame as a client sends it, with a mask of zero."""
    return client_frame(0x1, text.encode())


def client_frame(
    opcode: int,
    payload: bytes,
    *,
    final: bool = True,
    reserved: int = 0,
    mask: bytes = b"\x00\x00\x00\x00",
) -> bytes:
    """Return a frame as a client writes it. `reserved`: the three bits RFC 6455 reserves."""
    first, length = final << 7 | reserved << 4 | opcode, len(payload)
    if length < 126:
        header = struct.pack("!BB", first, 0x80 | length)
    elif length < 1 << 16:
        header = struct.pack("!BBH", first, 0x80 | 126, length)
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, length)
    body = bytearray(payload)
    websocket_mask(mask, body)
    return header + mask + bytes(body)
