"""A connection to Redis that has no task: replies are handled as soon as they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

import hiredis
from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import InvalidResponse

from rts_server.redis_client.transport import CheckedConnection, NotPrimary, error_of_reply

Command = tuple[str | int | bytes, ...] | bytes
"""A command by its words, or as `packed` returns it."""

_NOTHING = object()


class RedisConnection(asyncio.Protocol):
    """A connection that redis-py opens (address, TLS, AUTH) and this class takes over.

    `on_reply` is called with each reply in order, errors as exceptions; it must not raise. `gone`
    is done when the transport is lost; `closing` is true from the call of `close` on.
    """

    def __init__(self, connection: CheckedConnection, on_reply: Callable[[Any], None]) -> None:
        writer = connection._writer
        assert writer is not None
        self._connection = connection  # kept: redis-py closes the transport when it is collected
        self._primary, self._refusals = connection.primary, connection.refusals
        self._stream = writer.transport.get_protocol()
        self._transport: asyncio.Transport = writer.transport  # type: ignore[assignment]
        self._transport.set_protocol(self)
        self._on_reply = on_reply
        self._replies = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=self._error_reply,
            notEnoughData=_NOTHING,
        )
        self._out: list[bytes] = []
        self.closing = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._primary.opened(self)

    @classmethod
    async def open(cls, pool: ConnectionPool, on_reply: Callable[[Any], None]) -> RedisConnection:
        """Connect with the settings of the pool. Raises RedisError, OSError."""
        connection: CheckedConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            if not await _is_usable(connection):
                raise Lost("The connection to Redis was lost while it was opened.")
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return cls(connection, on_reply)

    def send(self, command: Command) -> None:
        """Send a command; all commands of one turn of the loop leave in one write. Never blocks."""
        self.send_all((command,))

    def send_all(self, commands: Iterable[Command]) -> None:
        """Send commands, as `send` does."""
        out = [one if isinstance(one, bytes) else packed(*one) for one in commands]
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out += out

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
        self._replies.feed(data)
        gets, on_reply = self._replies.gets, self._on_reply
        while (reply := gets()) is not _NOTHING:
            on_reply(reply)

    def _error_reply(self, text: str) -> Exception:
        """Return the exception of an error reply; drop the connection if this is no primary."""
        error = error_of_reply(text)
        if isinstance(error, NotPrimary) and self._primary.is_refused_by(error.code):
            self._primary.refused(self._refusals, error.code)
            self.close()
        return error

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss, also to the stream of redis-py."""
        self._primary.lost(self)
        self._stream.connection_lost(exc)
        self._connection._close()  # type: ignore[no-untyped-call]
        if not self.gone.done():
            self.gone.set_result(None)


def packed(*words: str | int | bytes) -> bytes:
    """Return a command as Redis reads it, for one that is sent often (RESP2)."""
    return cast(bytes, hiredis.pack_command(words))  # type: ignore[arg-type]


def unpacked(command: bytes) -> list[bytes]:
    """Return the words of a packed command."""
    reader = hiredis.Reader()
    reader.feed(command)
    return cast(list[bytes], reader.gets())


async def _is_usable(connection: CheckedConnection) -> bool:
    """Return whether the connection survived its opening.

    A loss or a refusal in that time would never be reported: our callbacks are set afterwards.
    """
    writer = connection._writer
    if writer is None or writer.transport.is_closing() or await connection.can_read():
        return False
    return connection.refusals == connection.primary.refusals
