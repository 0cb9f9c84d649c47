"""aiohttp's handshake of a WebSocket, and no more of aiohttp: behind it the transport is ours."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import WSCloseCode, web

from rts_server.engine import websocket


class Handshake(web.WebSocketResponse):
    """101, without permessage-deflate: aiohttp judges the request, and writes nothing itself.

    `answer`: what is to be written. Raises HTTPBadRequest for what is no handshake, ConnectionError
    for who is gone.
    """

    def __init__(self, request: web.Request) -> None:
        super().__init__(compress=False)
        headers, *_ = self._handshake(request)
        if request.transport is None:
            raise ConnectionResetError
        self.transport = request.transport
        self._handler = request.protocol
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.answer = f"HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n".encode()

    def take_over(self, protocol: asyncio.Protocol) -> bytes:
        """Give the transport to another protocol; what has arrived behind the handshake.

        To aiohttp the connection is lost with that: it lets go of all it kept for it, parser,
        request and tasks.
        """
        handler, arrived = self._handler, self._handler._message_tail
        self.transport.set_protocol(protocol)
        handler.transport = None  # or aiohttp would close it
        handler.connection_lost(None)
        self.transport.resume_reading()
        return arrived

    def refuse(self) -> None:
        """Complete it, and close at once: a client hears that better than a refusal."""
        self.take_over(asyncio.Protocol())
        self.transport.write(self.answer + websocket.close(WSCloseCode.POLICY_VIOLATION))
        self.transport.close()

    async def prepare(self, request: web.BaseRequest) -> Any:
        """The answer is not aiohttp's to write."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nor is what follows."""
