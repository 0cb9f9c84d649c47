"""Redis scripts: Lua files, run by EVALSHA and loaded when Redis does not have them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from rts_server.redis_client.pipeline import RedisPipeline

IDENTITY = Path(__file__).with_name("identity.lua")

ScriptCall = tuple[Sequence[str], Sequence[str | int]]
"""The KEYS and ARGV of one evaluation."""


class Script:
    """The source of one or more Lua files, joined in order."""

    def __init__(self, *files: Path) -> None:
        self.source = "".join(file.read_text() for file in files)
        self.sha = sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    async def evaluate(
        self, redis: Redis | RedisPipeline, keys: Sequence[str], args: Sequence[str | int]
    ) -> Any:
        """Return the reply of one evaluation. Raises RedisError."""
        return (await self.evaluate_many(redis, [(keys, args)]))[0]

    async def evaluate_many(
        self, redis: Redis | RedisPipeline, calls: Sequence[ScriptCall]
    ) -> list[Any]:
        """Return the replies of several evaluations, made in one round trip, in order.

        Raises the first error among them. If Redis does not have the script (NOSCRIPT), it is
        loaded and only the calls that did not run are repeated.
        """
        answers = await self._pipeline(redis, calls)
        lost = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if lost:
            await self._load(redis)
            for i, answer in zip(
                lost, await self._pipeline(redis, [calls[i] for i in lost]), strict=True
            ):
                answers[i] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _load(self, redis: Redis | RedisPipeline) -> None:
        if isinstance(redis, RedisPipeline):
            await redis.execute_command("SCRIPT", "LOAD", self.source)
        else:
            await redis.script_load(self.source)

    async def _pipeline(
        self, redis: Redis | RedisPipeline, calls: Sequence[ScriptCall]
    ) -> list[Any]:
        if not calls:
            return []
        if isinstance(redis, RedisPipeline):
            commands = [("EVALSHA", self.sha, len(keys), *keys, *args) for keys, args in calls]
            return await redis.execute_commands(commands)
        async with redis.pipeline(transaction=False) as pipe:
            for keys, args in calls:
                pipe.execute_command("EVALSHA", self.sha, len(keys), *keys, *args)
            return list(await pipe.execute(raise_on_error=False))
