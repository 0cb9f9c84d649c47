"""Connections to Redis: redis-py's, with errors that callers expect and an end in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import Connection, DefaultParser, SSLConnection
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import RedisError

from rts_server.redis_client.primary import Primary

UNFIT = frozenset(
    {"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "UNBLOCKED", "NOREPLICAS"},
)
"""Codes of replies that say: not the primary, not ready, or cut off from its replicas. UNBLOCKED
ends a blocking read when its server becomes a replica."""


class NotPrimary(Lost):
    """The server takes no writes. The command did nothing; its link ends."""

    @property
    def code(self) -> str:
        """The first word of the reply."""
        return str(self).partition(" ")[0]


def refusal(text: str) -> Exception:
    """The error of a reply that begins with its code."""
    if text.partition(" ")[0] in UNFIT:
        return NotPrimary(text)
    error: Exception = DefaultParser.parse_error(text)  # type: ignore[no-untyped-call]
    return error


class _Parser(DefaultParser):  # type: ignore[misc, valid-type]
    parse_error = staticmethod(refusal)


if TYPE_CHECKING:
    _Base = Connection
else:
    _Base = object


class _Sound(_Base):
    """Guarantee: connecting, writing and reading raise RedisError and OSError, nothing else.

    uvloop raises a bare RuntimeError for a transport that was closed meanwhile, and redis-py passes
    it on. One that was opened before the primary changed is opened anew when it is taken again.
    """

    def __init__(self, *, primary: Primary, **given: Any) -> None:
        super().__init__(**given, parser_class=_Parser)
        self.primary = primary
        self.generation = primary.generation

    async def connect_check_health(
        self, check_health: bool = True, retry_socket_connect: bool = True
    ) -> None:
        """Connect and sign in, where that is not done."""
        if self.generation != self.primary.generation:
            await self.disconnect(nowait=True)
        if not self.is_connected:
            self.generation = self.primary.generation
        try:
            await super().connect_check_health(check_health, retry_socket_connect)
        except (RedisError, OSError):
            raise
        except Exception as error:
            raise await self._broken(error) from error

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write."""
        try:
            await super().send_packed_command(command, check_health)
        except (RedisError, OSError):
            raise
        except Exception as error:
            raise await self._broken(error) from error

    async def read_response(self, *given: Any, **named: Any) -> Any:
        """Read one reply."""
        try:
            return await super().read_response(*given, **named)
        except NotPrimary as error:
            self.primary.refused(self.generation, error.code)
            raise
        except (RedisError, OSError):
            raise
        except Exception as error:
            raise await self._broken(error) from error

    async def _broken(self, error: Exception) -> Lost:
        """The same as one of the library's, when what is left of the connection is dropped."""
        await self.disconnect(nowait=True)
        return Lost(f"The link to Redis broke: {type(error).__name__}.")


class CheckedConnection(_Sound, Connection):
    """Over TCP."""


class CheckedTLSConnection(_Sound, SSLConnection):
    """Over TLS."""


def sound(pool: ConnectionPool, primary: Primary) -> None:
    """Let a pool that has no connection yet make such connections."""
    encrypted = issubclass(pool.connection_class, SSLConnection)
    pool.connection_class = CheckedTLSConnection if encrypted else CheckedConnection
    pool.connection_kwargs["primary"] = primary
    primary.opened(_Idle(pool))


class _Idle:
    """What of a pool nobody uses. What somebody does is opened anew when it is taken again."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def close(self) -> None:
        """Drop it."""
        for connection in self._pool._available_connections:
            connection._close()  # type: ignore[no-untyped-call]
