"""The WebSocket handshake of aiohttp (RFC 6455, 4.2); the transport is ours afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import WSCloseCode, web

from rts_server.engine import websocket


class Handshake(web.WebSocketResponse):
    """Checks a handshake with aiohttp, without permessage-deflate; aiohttp writes nothing itself.

    `answer`: the bytes of the 101 response. Raises HTTPBadRequest for an invalid handshake,
    ConnectionError if the client is gone.
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
        """Give the transport to another protocol; return the bytes that followed the handshake.

        aiohttp is then told that the connection is lost, so that it frees its parser, request and
        tasks. Its reference to the transport is removed before, or it would close the transport.
        """
        handler, arrived = self._handler, self._handler._message_tail
        self.transport.set_protocol(protocol)
        handler.transport = None
        handler.connection_lost(None)
        self.transport.resume_reading()
        return arrived

    def refuse(self) -> None:
        """Complete the handshake and close at once: clients report a close code, but no status."""
        self.take_over(asyncio.Protocol())
        self.transport.write(self.answer + websocket.close(WSCloseCode.POLICY_VIOLATION))
        self.transport.close()

    async def prepare(self, request: web.BaseRequest) -> Any:
        """Write nothing: the response is written by the new protocol."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""
