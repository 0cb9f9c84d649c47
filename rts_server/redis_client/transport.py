"""Connections to Redis: those of redis-py, with one kind of error and a check of the primary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import Connection, DefaultParser, SSLConnection
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import RedisError

from rts_server.redis_client.primary import Primary

NOT_PRIMARY_CODES = frozenset(
    {"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "UNBLOCKED", "NOREPLICAS"},
)
"""Codes of error replies of a server that is not the primary, is not ready, or is cut off from its
replicas. UNBLOCKED ends a blocking read when the server becomes a replica."""


class NotPrimary(Lost):
    """The server takes no writes. The command did nothing, and its connection is closed."""

    @property
    def code(self) -> str:
        """The first word of the reply."""
        return str(self).partition(" ")[0]


def error_of_reply(text: str) -> Exception:
    """Return the exception of an error reply, whose text begins with its code."""
    if text.partition(" ")[0] in NOT_PRIMARY_CODES:
        return NotPrimary(text)
    error: Exception = DefaultParser.parse_error(text)  # type: ignore[no-untyped-call]
    return error


class _Parser(DefaultParser):  # type: ignore[misc, valid-type]
    parse_error = staticmethod(error_of_reply)


if TYPE_CHECKING:
    _Base = Connection
else:
    _Base = object


class _Checked(_Base):
    """Guarantee: connecting, writing and reading raise RedisError and OSError, nothing else.

    uvloop raises a bare RuntimeError for a transport that was closed meanwhile, and redis-py passes
    it on. A connection that was opened before the primary changed is opened again at its next use.
    """

    def __init__(self, *, primary: Primary, **kwargs: Any) -> None:
        super().__init__(**kwargs, parser_class=_Parser)
        self.primary = primary
        self.refusals = primary.refusals

    async def connect_check_health(
        self, check_health: bool = True, retry_socket_connect: bool = True
    ) -> None:
        """Connect and authenticate, unless that is done."""
        if self.refusals != self.primary.refusals:
            await self.disconnect(nowait=True)
        if not self.is_connected:
            # Before connecting: a refusal in between makes this connection an outdated one.
            self.refusals = self.primary.refusals
        try:
            await super().connect_check_health(check_health, retry_socket_connect)
        except (RedisError, OSError):
            raise
        except Exception as error:
            raise await self._disconnected(error) from error

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write a command."""
        try:
            await super().send_packed_command(command, check_health)
        except (RedisError, OSError):
            raise
        except Exception as error:
            raise await self._disconnected(error) from error

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Read one reply."""
        try:
            return await super().read_response(*args, **kwargs)
        except NotPrimary as error:
            if self.primary.is_refused_by(error.code):
                self.primary.refused(self.refusals, error.code)
            raise
        except (RedisError, OSError):
            raise
        except Exception as error:
            raise await self._disconnected(error) from error

    async def _disconnected(self, error: Exception) -> Lost:
        """Drop the connection; return redis-py's own exception for a foreign one."""
        await self.disconnect(nowait=True)
        return Lost(f"The connection to Redis broke: {type(error).__name__}.")


class CheckedConnection(_Checked, Connection):
    """A connection over TCP."""


class CheckedTLSConnection(_Checked, SSLConnection):
    """A connection over TLS."""


def use_checked_connections(pool: ConnectionPool, primary: Primary) -> None:
    """Let a pool, which must have no connection yet, make checked connections."""
    encrypted = issubclass(pool.connection_class, SSLConnection)
    pool.connection_class = CheckedTLSConnection if encrypted else CheckedConnection
    pool.connection_kwargs["primary"] = primary
    primary.opened(_IdleConnections(pool))


class _IdleConnections:
    """The unused connections of a pool. One in use is opened again when it is taken next."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def close(self) -> None:
        """Drop them at once."""
        for connection in self._pool._available_connections:
            connection._close()  # type: ignore[no-untyped-call]
