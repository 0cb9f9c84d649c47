"""Commands to Redis, pipelined on one connection."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import ConnectionError as Lost

from rts_server.channels import ONE_SERVER, Channels
from rts_server.redis_client.connection import Command, RedisConnection, unpacked
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.transport import use_checked_connections
from rts_server.runtime.deadline import within
from rts_server.runtime.tasks import cancelled
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

T = TypeVar("T")
OnReply = Callable[[Any], None]
"""Called with a reply, or with an exception for an error reply. It must not raise."""

PIPELINE_CONNECT_SECONDS = 1.0
"""How long opening a connection may take."""
SILENCE_SECONDS = 1.0
"""A connection on which no reply at all arrived for so long is dropped. A command that waits behind
others is not silence, as long as those are answered."""


class CommandPipe(ABC):
    """Sends commands without waiting for the replies to those before.

    Every command gets exactly one reply: from Redis, or `Lost` (ConnectionError) if it is unknown
    whether it was executed. Commands of unknown outcome are never repeated: most are not
    idempotent.

    `channels`: how to publish there.
    """

    channels: Channels = ONE_SERVER

    def execute_command(self, *command: str | int | bytes) -> asyncio.Future[Any]:
        """Send a command; the future holds its reply, or raises RedisError."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(command, partial(resolve, answer))
        return answer

    @abstractmethod
    def execute_commands(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send commands; the future holds the list of their replies, errors as exceptions."""

    @abstractmethod
    def send(self, command: Command, on_reply: OnReply) -> None:
        """Send a command; `on_reply` is called with its reply. Never blocks."""

    @abstractmethod
    def send_beside(self, key: str, command: Command, on_reply: OnReply) -> None:
        """Send a command that names no key to the server of this key. Never blocks."""

    @abstractmethod
    def slot_of(self, key: str) -> int:
        """Return the slot of a key: one command may only name keys of one slot."""

    @abstractmethod
    def server_of(self, key: str) -> Hashable:
        """Return what tells the servers of keys apart."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections; commands without a reply get `Lost`, as do later ones."""


class RedisPipeline(CommandPipe):
    """A pipe to one server, on one connection, opened on demand and again after a loss.

    Replies come in the order of the commands.
    """

    def __init__(self, pool: ConnectionPool, primary: Primary | None = None) -> None:
        self._primary = primary or Primary()
        use_checked_connections(pool, self._primary)
        self._pool = pool
        self._connection: RedisConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._unsent: list[tuple[Command, OnReply]] = []
        self._unanswered: deque[OnReply] = deque()
        self._replies = self._replies_seen = 0
        self._silence_timer: asyncio.Handle | None = None
        self._throttled_log = ThrottledLog(log)
        self._is_closed = False

    async def close(self) -> None:
        """Close the connection; commands without a reply get `Lost`, as do later ones."""
        self._is_closed = True
        if self._opening is not None:
            await cancelled(self._opening)
            fail(on_reply for _, on_reply in self._unsent)
        if self._connection is not None:
            self._connection.close()
            await self._connection.gone

    def execute_commands(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send commands; the future holds the list of their replies, errors as exceptions."""
        every: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        answers: list[Any] = []
        if not commands:  # a callback without a command would take the reply of the next one
            every.set_result(answers)
            return every

        def on_last(reply: Any) -> None:
            answers.append(reply)
            resolve(every, answers)

        # Replies come in order, so only the last one has to be looked at.
        self._send(commands, [*repeat(answers.append, len(commands) - 1), on_last])
        return every

    def send(self, command: Command, on_reply: OnReply) -> None:
        """Send a command; `on_reply` is called with its reply. Never blocks."""
        self._send([command], [on_reply])

    def send_beside(self, key: str, command: Command, on_reply: OnReply) -> None:
        """Send a command that names no key. Never blocks."""
        self._send([command], [on_reply])

    def slot_of(self, key: str) -> int:
        """Return the same for all keys: one server has no slots."""
        return 0

    def server_of(self, key: str) -> Hashable:
        """Return the same for all keys."""
        return None

    def _send(self, commands: Sequence[Command], on_replies: Sequence[OnReply]) -> None:
        if self._connection is None or self._connection.closing:
            if self._is_closed:
                fail(on_replies)
                return
            self._unsent.extend(zip(commands, on_replies, strict=True))
            if self._opening is None:
                self._opening = asyncio.create_task(self._open())
            return
        self._connection.send_all(commands)
        self._unanswered.extend(on_replies)
        if self._silence_timer is None:
            self._start_silence_timer()

    async def _open(self) -> None:
        try:
            async with within(PIPELINE_CONNECT_SECONDS):
                await self._primary.pause_after_refusal()
                self._connection = await RedisConnection.open(self._pool, self._answered)
        except Exception as error:  # whatever it is, the waiting commands need a reply
            self._throttled_log.warning("redis cannot be reached", error)
        finally:
            self._opening = None
        unsent, self._unsent = self._unsent, []
        if self._connection is None or self._connection.closing:
            fail(on_reply for _, on_reply in unsent)
            return
        self._connection.gone.add_done_callback(self._lost)
        self._send([command for command, _ in unsent], [on_reply for _, on_reply in unsent])

    def _answered(self, reply: Any) -> None:
        self._replies += 1
        self._unanswered.popleft()(reply)

    def _lost(self, _: object) -> None:
        self._connection = None
        if self._silence_timer is not None:  # the next connection has a timer of its own
            self._silence_timer.cancel()
            self._silence_timer = None
        unanswered, self._unanswered = self._unanswered, deque()
        fail(unanswered)

    def _start_silence_timer(self) -> None:
        self._replies_seen = self._replies
        self._silence_timer = asyncio.get_running_loop().call_later(
            SILENCE_SECONDS, self._check_silence
        )

    def _check_silence(self) -> None:
        """Check for silence. One timer serves all commands; none runs while all are answered."""
        self._silence_timer = None
        if not self._unanswered or self._connection is None:
            return
        if self._replies == self._replies_seen:
            self._connection.close()
        else:
            self._start_silence_timer()


def channels_of(redis: Redis | CommandPipe) -> Channels:
    """Return the channels of a server: a client of redis-py is one of a single server."""
    return redis.channels if isinstance(redis, CommandPipe) else ONE_SERVER


def server_of(redis: Redis | CommandPipe, key: str) -> Hashable:
    """Return what tells the servers of keys apart, as `CommandPipe.server_of`."""
    return redis.server_of(key) if isinstance(redis, CommandPipe) else None


async def replies_to(redis: Redis | CommandPipe, commands: Sequence[Command]) -> list[Any]:
    """Return the replies to commands sent together, as Redis sends them, errors as exceptions."""
    if isinstance(redis, CommandPipe):
        return await redis.execute_commands(commands)
    async with redis.pipeline(transaction=False) as pipe:
        for command in commands:
            name, *words = unpacked(command) if isinstance(command, bytes) else command
            # The name is bytes: redis-py parses the replies to names that are text.
            pipe.execute_command(name.encode() if isinstance(name, str) else name, *words)
        return list(await pipe.execute(raise_on_error=False))


async def replies_beside(redis: CommandPipe, names: Iterable[str], command: Command) -> list[Any]:
    """Return the replies of the servers of some keys to a command, errors as exceptions.

    `names`: of the keys. Each server gets the command once.
    """
    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[Any]] = []
    for key in {redis.server_of(key): key for key in names}.values():
        answer: asyncio.Future[Any] = loop.create_future()
        answers.append(answer)
        redis.send_beside(key, command, partial(resolve, answer))
    return await asyncio.gather(*answers, return_exceptions=True)


async def replies_at(
    redis: Redis | CommandPipe, key: str, commands: Sequence[Command]
) -> list[Any]:
    """Return the replies of the server of a key to commands, which need not name a key.

    They are sent together, and errors are returned as exceptions.
    """
    if not isinstance(redis, CommandPipe):
        return await replies_to(redis, commands)
    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[Any]] = []
    for command in commands:
        answer: asyncio.Future[Any] = loop.create_future()
        answers.append(answer)
        redis.send_beside(key, command, partial(resolve, answer))
    return await asyncio.gather(*answers, return_exceptions=True)


async def time_at(redis: Redis | CommandPipe, key: str) -> int:
    """Return the time of the server of a key, in ms since 1970. Raises RedisError."""
    (reply,) = await replies_at(redis, key, [("TIME",)])
    if isinstance(reply, Exception):
        raise reply
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def by_slot(
    redis: Redis | CommandPipe, items: Iterable[T], key_of: Callable[[T], str]
) -> list[list[T]]:
    """Return the items in groups whose keys one command may name: on one server all in one."""
    if not isinstance(redis, CommandPipe):
        return [list(items)]
    groups: dict[int, list[T]] = {}
    for item in items:
        groups.setdefault(redis.slot_of(key_of(item)), []).append(item)
    return list(groups.values())


async def results_of(redis: Redis | CommandPipe, commands: Sequence[Command]) -> list[Any]:
    """Return the replies to commands, as `replies_to` does. Raises the first error among them."""
    replies = await replies_to(redis, commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def publish_all(
    redis: Redis | CommandPipe, messages: Iterable[tuple[str, str | bytes]]
) -> list[int]:
    """Publish messages, each with its channel; return how many subscribers each has.

    Raises the first error among the replies.
    """
    channels = channels_of(redis)
    return await results_of(redis, [channels.publication(*one) for one in messages])


async def publications(
    redis: Redis | CommandPipe, messages: Iterable[tuple[str, str | bytes]]
) -> list[Any]:
    """Publish messages, as `publish_all` does; return the replies, errors as exceptions."""
    channels = channels_of(redis)
    return await replies_to(redis, [channels.publication(*one) for one in messages])


def fail(waiting: Iterable[OnReply]) -> None:
    """Reply `Lost` to commands."""
    for on_reply in waiting:
        on_reply(Lost("The connection to Redis is lost."))


def resolve(answer: asyncio.Future[Any], reply: Any) -> None:
    """Set the result of a future, unless it is done (its waiter was cancelled)."""
    if answer.done():
        return
    if isinstance(reply, Exception):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)
