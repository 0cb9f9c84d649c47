"""Commands to Redis and their answers, pipelined on one link."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as Lost

from rts_server.redis_client.connection import Command, RedisConnection
from rts_server.redis_client.primary import Primary
from rts_server.redis_client.transport import sound
from rts_server.runtime.deadline import within
from rts_server.runtime.tasks import cancelled
from rts_server.runtime.throttled_log import ThrottledLog

log = logging.getLogger(__name__)

Heard = Callable[[Any], None]

CONNECT = 1.0
PATIENCE = 1.0
"""Seconds without any answer after which the link is given up: a long line alone is no silence."""


class RedisPipeline:
    """The link is opened when it is needed, and again when it was lost.

    Every command is answered once, in order: by Redis, or by `Lost` when nobody knows whether it
    ran.
    """

    def __init__(self, pool: ConnectionPool, primary: Primary | None = None) -> None:
        self._primary = primary or Primary()
        sound(pool, self._primary)
        self._pool = pool
        self._link: RedisConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._unsent: list[tuple[Command, Heard]] = []
        self._unanswered: deque[Heard] = deque()
        self._answers = self._seen = 0
        self._overdue: asyncio.TimerHandle | None = None
        self._throttled_log = ThrottledLog(log)

    async def close(self) -> None:
        """Give up what is not answered yet."""
        if self._opening is not None:
            await cancelled(self._opening)
            _fail(heard for _, heard in self._unsent)
        if self._link is not None:
            self._link.close()
            await self._link.gone

    def call(self, *command: str | int | bytes) -> asyncio.Future[Any]:
        """The answer. Raises RedisError."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(command, partial(settle, answer))
        return answer

    def all(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """The answers of one command or more, an error as an exception."""
        every: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        answers: list[Any] = []

        def heard(reply: Any) -> None:
            answers.append(reply)
            if len(answers) == len(commands):
                settle(every, answers)

        for command in commands:
            self.send(command, heard)
        return every

    def send(self, command: Command, heard: Heard) -> None:
        """Ask; `heard` is given the answer, an error as an exception. Never blocks."""
        if self._link is None or self._link.closing:
            self._unsent.append((command, heard))
            if self._opening is None:
                self._opening = asyncio.create_task(self._open())
            return
        self._unanswered.append(heard)
        self._link.send(command)
        if self._overdue is None:
            self._watch()

    async def _open(self) -> None:
        try:
            async with within(CONNECT):
                await self._primary.settle()
                self._link = await RedisConnection.open(self._pool, self._answered)
        except Exception as error:  # whatever it is: who waits must hear of it
            self._throttled_log.warning("redis cannot be reached", error)
        finally:
            self._opening = None
        unsent, self._unsent = self._unsent, []
        if self._link is None or self._link.closing:
            _fail(heard for _, heard in unsent)
            return
        self._link.gone.add_done_callback(self._lost)
        for command, heard in unsent:
            self.send(command, heard)

    def _answered(self, reply: Any) -> None:
        self._answers += 1
        self._unanswered.popleft()(reply)

    def _lost(self, _: object) -> None:
        self._link = None
        if self._overdue is not None:  # the next link has a time of its own
            self._overdue.cancel()
            self._overdue = None
        unanswered, self._unanswered = self._unanswered, deque()
        _fail(unanswered)

    def _watch(self) -> None:
        self._seen = self._answers
        self._overdue = asyncio.get_running_loop().call_later(PATIENCE, self._look)

    def _look(self) -> None:
        """One timer for all, and none where nothing is unanswered."""
        self._overdue = None
        if not self._unanswered or self._link is None:
            return
        if self._answers == self._seen:
            self._link.close()
        else:
            self._watch()


def _fail(waiting: Iterable[Heard]) -> None:
    for heard in waiting:
        heard(Lost("The link to Redis is lost."))


def settle(answer: asyncio.Future[Any], reply: Any) -> None:
    """Give a future its answer, if somebody still waits for it."""
    if answer.done():
        return
    if isinstance(reply, Exception):
        answer.set_exception(reply)
    else:
        answer.set_result(reply)
