"""Counts the commands that Redis executes on behalf of some rooms and users."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Collection
from typing import Any

from redis.asyncio import Redis

from rts_server.persistence import recent_changes, user_rooms
from rts_server.roomlog import recorded

BY_TIME = (
    '"[[]]"',
    '"[[],[]]"',
    "~head@-",
    recorded._DURABILITY.sha,
    recorded._WAITING.sha,
    recent_changes._NOTE.sha,
    user_rooms._VERSION.sha,
)
"""In `receipt.updated` of cursors that moved within a second after the last one, in what the relay
publishes of a room that is quiet, and in the question of durability, which comes where the queue is
slow."""


class Commands:
    """`sent`: commands by name, as clients sent them. `inside`: those that scripts called.

    `index_reads`: scripts that read the index of a user.
    """

    def __init__(self, ids: Collection[str]) -> None:
        self.sent: Counter[str] = Counter()
        self.inside: Counter[str] = Counter()
        self.index_reads = 0
        self._ids = ids
        self._counts = False

    @property
    def scripts(self) -> int:
        """Scripts and functions that were run."""
        return self.sent["EVALSHA"] + self.sent["FCALL"]

    @property
    def total(self) -> int:
        """All commands, those inside of scripts as well."""
        return self.sent.total() + self.inside.total()

    def take(self, told: dict[str, Any]) -> None:
        """Count a command of MONITOR; those of a script follow it."""
        kind, _, rest = told["command"].partition(" ")
        if told["client_type"] == "lua":
            self.inside[kind.strip('"').upper()] += self._counts
            return
        by_time = any(one in rest for one in BY_TIME)
        self._counts = not by_time and any(one in rest for one in self._ids)
        self.sent[kind.strip('"').upper()] += self._counts
        self.index_reads += self._counts and user_rooms._READ.sha in rest


@contextlib.asynccontextmanager
async def commands_about(url: str, ids: Collection[str]) -> AsyncIterator[Commands]:
    """Count the commands whose keys or arguments contain one of the ids, while this is open."""
    found, end = Commands(ids), f"end of counting {id(ids)}"
    client = Redis.from_url(url)
    async with client, client.monitor() as monitor:

        async def count() -> None:
            while end not in (told := await monitor.next_command())["command"]:
                found.take(told)

        counting = asyncio.create_task(count())
        yield found
        await client.echo(end)  # everything before it was executed before it
        await counting


async def scripts_run(client: Redis) -> int:
    """Return how many scripts and functions Redis has run."""
    told = await client.info("commandstats")
    return sum(told.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "fcall"))
