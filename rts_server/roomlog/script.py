"""Calls of the append script, in the order they were made."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from rts_server.persistence.scripts import IDENTITY, Call, Script
from rts_server.redis_client.pipeline import RedisPipeline, settle
from rts_server.roomlog.claim import give_back
from rts_server.runtime.tasks import Tasks

LUA = Path(__file__).with_name("lua")
FENCE = LUA / "fence.lua"

log = logging.getLogger(__name__)


IDS = LUA / "ids.lua"
"""What scripts about the ids of messages begin with."""


def room_script(*paths: Path) -> Script:
    """A script of a room, behind the fence."""
    return Script(IDENTITY, FENCE, *paths)


APPEND = room_script(IDS, LUA / "append.lua")


class AppendScript:
    """On a link of its own, so that nothing else holds an append up."""

    def __init__(self, pipe: RedisPipeline, redis: Redis) -> None:
        self._pipe = pipe
        self._redis = redis
        self._tasks = Tasks()
        self._ahead_ms = 0

    async def close(self) -> None:
        """Stop; whoever still waits hears that nobody knows."""
        await self._pipe.close()
        await self._tasks.close()

    def redis_ms(self, seconds_from_now: float) -> int:
        """A moment in Redis' own clock, in ms; host clocks may be off by minutes."""
        return int((time.time() + seconds_from_now) * 1000) + self._ahead_ms

    def call(self, call: Call) -> asyncio.Future[list[Any]]:
        """The answer of append.lua. Raises RedisError when nobody knows whether it ran."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._send(call, answer)
        return answer

    def _send(self, call: Call, answer: asyncio.Future[list[Any]]) -> None:
        names, args = call
        command = ("EVALSHA", APPEND.sha, len(names), *names, *args)
        self._pipe.send(command, partial(self._heard, call, answer))

    def _heard(self, call: Call, answer: asyncio.Future[list[Any]], reply: Any) -> None:
        if isinstance(reply, NoScriptError) and not answer.done():  # it did not run
            self._pipe.send(("SCRIPT", "LOAD", APPEND.source), _loaded)
            self._send(call, answer)
            return
        if isinstance(reply, list):
            self._ahead_ms = int(reply[1]) - int(time.time() * 1000)
            if answer.done() and reply[0] == b"cold":
                self._tasks.keep(self._give_back(call))
        settle(answer, reply)

    async def _give_back(self, call: Call) -> None:
        """A claim whose command is gone by now: nobody would load, and everybody wait for it."""
        request = orjson.loads(str(call[1][0]))
        await give_back(self._redis, request["room_id"], request["nonce"])


def _loaded(reply: Any) -> None:
    if isinstance(reply, Exception):
        log.warning("append.lua cannot be loaded", extra={"error": type(reply).__name__})
