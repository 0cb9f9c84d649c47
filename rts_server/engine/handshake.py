"""aiohttp's handshake of a WebSocket, and no more of aiohttp: behind it the transport is ours."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web


class Handshake(web.WebSocketResponse):
    """101, without permessage-deflate: aiohttp judges the request, and writes nothing itself."""

    def __init__(self) -> None:
        super().__init__(compress=False)

    def answer(self, request: web.Request) -> None:
        """Write it. Raises HTTPBadRequest for what is none, ConnectionError for who is gone."""
        headers, *_ = self._handshake(request)
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        lines = (f"{name}: {value}\r\n" for name, value in headers.items())
        transport.write(f"HTTP/1.1 101 Switching Protocols\r\n{''.join(lines)}\r\n".encode())

    async def prepare(self, request: web.BaseRequest) -> Any:
        """It is written already, and what follows is not aiohttp's."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Nor is its end."""


def take_over(request: web.Request, protocol: asyncio.Protocol) -> bytes:
    """Give a request's transport to another protocol; what has arrived behind the handshake.

    To aiohttp the connection is lost with that: it lets go of all it kept for it, parser, request
    and tasks.
    """
    handler = request.protocol
    transport, arrived = handler.transport, handler._message_tail
    assert transport is not None
    transport.set_protocol(protocol)
    handler.transport = None  # or aiohttp would close it
    handler.connection_lost(None)
    transport.resume_reading()
    return arrived
