"""aiohttp's handshake of a WebSocket, and no more of aiohttp: behind it the transport is ours."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web


class Handshake(web.WebSocketResponse):
    """101, without permessage-deflate."""

    def __init__(self) -> None:
        super().__init__(compress=False)

    async def answer(self, request: web.Request) -> None:
        """Write it. Raises HTTPBadRequest for what is none, ConnectionError for who is gone."""
        await self.prepare(request)
        if request.transport is None:
            raise ConnectionResetError

    def _post_start(self, *_: Any) -> None:
        """aiohttp's reader and parser are not made."""

    async def write_eof(self, data: bytes = b"") -> None:
        """What is written behind the handshake is not aiohttp's."""


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
