"""A connection to Redis without a task: replies are handled in the read that brought them."""

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
    """A connection that redis-py opened (address, TLS and AUTH are its work), then taken over.

    `on_reply`: called with each reply in order, errors as exceptions; it must not raise. `gone` is
    done when the transport is lost; `closing` is true as soon as it was dropped from here.
    """

    def __init__(self, connection: CheckedConnection, on_reply: Callable[[Any], None]) -> None:
        writer = connection._writer
        assert writer is not None
        self._connection = connection  # which would close its transport when it is collected
        self._primary, self._generation = connection.primary, connection.generation
        self._stream = writer.transport.get_protocol()
        self._transport: asyncio.Transport = writer.transport  # type: ignore[assignment]
        self._transport.set_protocol(self)
        self._on_reply = on_reply
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
    async def open(cls, pool: ConnectionPool, on_reply: Callable[[Any], None]) -> RedisConnection:
        """Connect as the pool says. Raises RedisError, OSError."""
        connection: CheckedConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            if not await _stands(connection):
                raise Lost("The link to Redis was lost while it was opened.")
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return cls(connection, on_reply)

    def send(self, command: Command) -> None:
        """Send a command; all commands of one turn of the loop leave in one write. Never blocks."""
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(hiredis.pack_command(command))  # type: ignore[arg-type]

    def close(self) -> None:
        """Drop the connection at once."""
        self.closing = True
        self._transport.abort()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def data_received(self, data: bytes) -> None:
        """Parse replies, whole or in part, and report them."""
        replies = self._replies
        replies.feed(data)
        while (reply := replies.gets()) is not _NOTHING:
            self._on_reply(reply)

    def _refusal(self, text: str) -> Exception:
        """Return the exception of an error reply; drop a connection that is not to the primary."""
        error = refusal(text)
        if isinstance(error, NotPrimary):
            self._primary.refused(self._generation, error.code)
            self.close()
        return error

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss, also to the stream of the library."""
        self._primary.lost(self)
        self._stream.connection_lost(exc)
        self._connection._close()  # type: ignore[no-untyped-call]
        if not self.gone.done():
            self.gone.set_result(None)


async def _stands(connection: CheckedConnection) -> bool:
    """Return whether nothing happened while it was opened: later no callback would report it."""
    writer = connection._writer
    if writer is None or writer.transport.is_closing() or await connection.can_read():
        return False
    return connection.generation == connection.primary.generation
