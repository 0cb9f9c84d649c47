"""Calls of the append script: one pipeline per tick, on a connection of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from rts_server.persistence.scripts import IDENTITY, Call, Script
from rts_server.rooms.claim import give_back
from rts_server.tasks import Tasks, cancelled

_HERE = Path(__file__).parent
FENCE = _HERE / "fence.lua"


def room_script(name: str) -> Script:
    """A script of a room, behind the fence."""
    return Script(IDENTITY, FENCE, _HERE / name)


APPEND = room_script("append.lua")


class Appender:
    """Sends calls in the order they were made; only what a lost script refused is repeated."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[Call, asyncio.Future[list[Any]]]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._ahead_ms = 0

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop sending; calls still waiting are cancelled."""
        if self._task:
            await cancelled(self._task)
        await self._tasks.close()
        for _, answer in self._waiting:
            answer.cancel()

    def redis_ms(self, seconds_from_now: float) -> int:
        """A moment in Redis' own clock, in ms; host clocks may be off by minutes."""
        return int((time.time() + seconds_from_now) * 1000) + self._ahead_ms

    async def call(self, call: Call) -> list[Any]:
        """The answer of append.lua. Raises RedisError when nobody knows whether it ran."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((call, answer))
        self._wake.set()
        return await answer

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            batch = [item for item in batch if not item[1].done()]
            if batch:
                await self._send(batch)

    async def _send(self, batch: list[tuple[Call, asyncio.Future[list[Any]]]]) -> None:
        try:
            answers = await self._pipeline([call for call, _ in batch])
            if any(isinstance(answer, NoScriptError) for answer in answers):
                await self._redis.script_load(APPEND.source)
                again = [i for i, a in enumerate(answers) if isinstance(a, NoScriptError)]
                repeated = await self._pipeline([batch[i][0] for i in again])
                for i, answer in zip(again, repeated, strict=True):
                    answers[i] = answer
        except (RedisError, OSError) as error:
            answers = [error] * len(batch)
        for (call, future), answer in zip(batch, answers, strict=True):
            if future.done():
                if not isinstance(answer, Exception) and answer[0] == b"cold":
                    self._tasks.keep(self._give_back(call))
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                self._ahead_ms = int(answer[1]) - int(time.time() * 1000)
                future.set_result(answer)

    async def _give_back(self, call: Call) -> None:
        """A claim whose command is gone by now: nobody would load, and everybody wait for it."""
        request = orjson.loads(str(call[1][0]))
        await give_back(self._redis, request["room_id"], request["nonce"])

    async def _pipeline(self, calls: list[Call]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for names, args in calls:
                pipe.execute_command("EVALSHA", APPEND.sha, len(names), *names, *args)
            return list(await pipe.execute(raise_on_error=False))
