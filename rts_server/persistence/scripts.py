"""Lua in Redis: scripts and functions, loaded when Redis does not have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from hashlib import sha1
from pathlib import Path
from typing import Any, Self

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from rts_server.channels import ONE_SERVER, Channels
from rts_server.redis_client.connection import Command
from rts_server.redis_client.pipeline import CommandPipe, channels_of, replies_beside, replies_to

IDENTITY = Path(__file__).with_name("identity.lua")
_GLOBALS = "redis, cjson, string, table, math, type, tonumber, tostring, pairs, ipairs, unpack"
"""What functions use. Redis looks a global of a library up in two tables, at each use."""

ScriptCall = tuple[Sequence[str], Sequence[str | int]]
"""The KEYS and ARGV of one evaluation."""


class Script:
    """One or more Lua files, joined in order, behind the name of the command that publishes."""

    _sharded: Self | None

    def __init__(self, *files: Path) -> None:
        self._set_text(ONE_SERVER.script_head + "".join(file.read_text() for file in files))

    def _set_text(self, text: str) -> None:
        self._sharded = None
        self.text = self.source = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def for_channels(self, channels: Channels) -> Self:
        """Return the script that publishes on these channels."""
        if not channels.sharded:
            return self
        if self._sharded is None:
            sharded = copy(self)
            sharded._set_text(channels.script_head + self.text.removeprefix(ONE_SERVER.script_head))
            self._sharded = sharded
        return self._sharded

    def command(self, keys: Sequence[str], args: Sequence[str | int]) -> Command:
        """Return the command of one evaluation."""
        return ("EVALSHA", self.sha, len(keys), *keys, *args)

    @property
    def load_command(self) -> Command:
        """The command after which Redis can evaluate it."""
        return ("SCRIPT", "LOAD", self.source)

    def is_missing(self, reply: object) -> bool:
        """Return whether the reply of an evaluation says that Redis has to load it first."""
        return isinstance(reply, NoScriptError)

    async def evaluate(
        self, redis: Redis | CommandPipe, keys: Sequence[str], args: Sequence[str | int]
    ) -> Any:
        """Return the reply of one evaluation. Raises RedisError."""
        return (await self.evaluate_many(redis, [(keys, args)]))[0]

    async def evaluate_many(
        self, redis: Redis | CommandPipe, calls: Sequence[ScriptCall]
    ) -> list[Any]:
        """Return the replies of several evaluations, made in one round trip, in order.

        Raises the first error among them. If Redis does not have the script, it is loaded
        and only the calls that did not run are repeated.
        """
        answers = await self.answers(redis, calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def answers(self, redis: Redis | CommandPipe, calls: Sequence[ScriptCall]) -> list[Any]:
        """Return the replies as `evaluate_many` does, errors as exceptions.

        Raises RedisError if the script cannot be loaded.
        """
        return await self.for_channels(channels_of(redis))._answers(redis, calls)

    async def _answers(self, redis: Redis | CommandPipe, calls: Sequence[ScriptCall]) -> list[Any]:
        answers = await self._pipeline(redis, calls)
        lost = [i for i, answer in enumerate(answers) if self.is_missing(answer)]
        if lost:
            await self._load(redis, [calls[i][0][0] for i in lost])
            for i, answer in zip(
                lost, await self._pipeline(redis, [calls[i] for i in lost]), strict=True
            ):
                answers[i] = answer
        return answers

    async def _load(self, redis: Redis | CommandPipe, names: Iterable[str]) -> None:
        """Load it where these keys are. Where that failed, the calls fail again, and say why."""
        if not isinstance(redis, CommandPipe):
            await replies_to(redis, [self.load_command])
            return
        replies = await replies_beside(redis, names, self.load_command)
        failures = [reply for reply in replies if isinstance(reply, Exception)]
        if len(failures) == len(replies):
            raise failures.pop(0)

    async def _pipeline(self, redis: Redis | CommandPipe, calls: Sequence[ScriptCall]) -> list[Any]:
        return await replies_to(redis, [self.command(keys, args) for keys, args in calls])


class LuaFunction(Script):
    """A Lua function in a library of its own, which Redis compiles once.

    A script is run from its first line at each evaluation, and makes all its functions anew; for a
    long one that costs more than its work. The name of the library carries the hash of its files,
    so that two releases work side by side during a rolling deployment.

    Redis keeps libraries in its dump and on its replicas. `FUNCTION FLUSH` is safe at any time:
    what is missing is loaded again.
    """

    def __init__(self, name: str, *files: Path) -> None:
        """The files define a local function `name`, which takes keys and args."""
        self._function = name
        super().__init__(*files)

    def _set_text(self, text: str) -> None:
        super()._set_text(text)
        self.name = f"rts_{self._function}_{self.sha[:16]}"
        self.source = (
            f"#!lua name={self.name}\n"
            "local register_function = redis.register_function\n"
            f"local function globals() return {_GLOBALS} end\n"
            f"local {_GLOBALS}\n"
            f"{text}"
            f"register_function('{self.name}', function(keys, args)\n"
            # They are not there while the library is loaded.
            f"  if not redis then {_GLOBALS} = globals() end\n"
            f"  return {self._function}(keys, args)\n"
            "end)\n"
        )

    def command(self, keys: Sequence[str], args: Sequence[str | int]) -> Command:
        """Return the command of one call."""
        return ("FCALL", self.name, len(keys), *keys, *args)

    @property
    def load_command(self) -> Command:
        """The command after which Redis has the library; harmless if another process was first."""
        return ("FUNCTION", "LOAD", "REPLACE", self.source)

    def is_missing(self, reply: object) -> bool:
        """Return whether the reply of a call says that Redis has not the library."""
        return isinstance(reply, ResponseError) and "Function not found" in str(reply)
