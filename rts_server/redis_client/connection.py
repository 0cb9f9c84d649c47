"""A link to Redis: each reply is handled in the read that brought it, without a task or a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import InvalidResponse

from rts_server.redis_client.transport import CheckedConnection, NotPrimary, refusal

Command = tuple[str | int | bytes, ...]

_NOTHING = object()


class RedisConnection(asyncio.Protocol):
    """A connection of redis-py behind its handshake: address, TLS and sign-in are the library's.

    `heard`: given each reply in order, an error as an exception; must not fail itself.
    `gone`: done when the transport is lost. `closing`: a moment before, when it was dropped here.
    """

    def __init__(self, connection: CheckedConnection, heard: Callable[[Any], None]) -> None:
        writer = connection._writer
        assert writer is not None
        self._connection = connection  # which would close its transport when it is collected
        self._primary, self._generation = connection.primary, connection.generation
        self._stream = writer.transport.get_protocol()
        self._transport: asyncio.Transport = writer.transport  # type: ignore[assignment]
        self._transport.set_protocol(self)
        self._heard = heard
        self._replies = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=self._refusal,
            notEnoughData=_NOTHING,
        )
        self._out: list[bytes] = []
        self.closing = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._primary.opened(self)

    @classmethod
    async def open(cls, pool: ConnectionPool, heard: Callable[[Any], None]) -> RedisConnection:
        """Connect as the pool says. Raises RedisError, OSError."""
        connection: CheckedConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            if not await _stands(connection):
                raise Lost("The link to Redis was lost while it was opened.")
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return cls(connection, heard)

    def send(self, command: Command) -> None:
        """Ask; what is asked in one turn of the loop leaves in one write. Never blocks."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(hiredis.pack_command(command))  # type: ignore[arg-type]

    def close(self) -> None:
        """Drop the transport at once."""
        self.closing = True
        self._transport.abort()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        """Replies, whole or in part."""
        replies = self._replies
        replies.feed(data)
        while (reply := replies.gets()) is not _NOTHING:
            self._heard(reply)

    def _refusal(self, text: str) -> Exception:
        """The error of a reply; who is no primary loses the link behind what was read of it."""
        error = refusal(text)
        if isinstance(error, NotPrimary):
            self._primary.refused(self._generation, error.code)
            self.close()
        return error

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone; the library's stream is told too."""
        self._primary.lost(self)
        self._stream.connection_lost(exc)
        self._connection._close()  # type: ignore[no-untyped-call]
        if not self.gone.done():
            self.gone.set_result(None)


async def _stands(connection: CheckedConnection) -> bool:
    """Whether nothing happened to it while it was opened, which nobody would tell a link of it."""
    writer = connection._writer
    if writer is None or writer.transport.is_closing() or await connection.can_read():
        return False
    return connection.generation == connection.primary.generation
