"""Counts the commands that Redis executes on behalf of some rooms and users."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Collection
from typing import Any

from redis.asyncio import Redis

from rts_server.channels import CLUSTER, ONE_SERVER
from rts_server.persistence import recent_changes, user_rooms
from rts_server.persistence.scripts import Script
from rts_server.roomlog import recorded
from tests.helpers.world import World
from tests.helpers.world_redis import servers


def _shas(*scripts: Script) -> list[str]:
    """Return the names of scripts on one server, and those on a cluster."""
    return [one.for_channels(at).sha for one in scripts for at in (ONE_SERVER, CLUSTER)]


BY_TIME = (
    '"[[]]"',
    '"[[],[]]"',
    "~head@-",
    *_shas(recorded._DURABILITY, recorded._WAITING, recent_changes._NOTE, user_rooms._VERSION),
)
"""In `receipt.updated` of cursors that moved within a second after the last one, in what the relay
publishes of a room that is quiet, and in the question of durability, which comes where the queue is
slow."""

INDEX_READS = _shas(user_rooms._READ)


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
        self.index_reads += self._counts and any(one in rest for one in INDEX_READS)


@contextlib.asynccontextmanager
async def commands_about(world: World, ids: Collection[str]) -> AsyncIterator[Commands]:
    """Count the commands whose keys or arguments contain one of the ids, while this is open."""
    found = Commands(ids)
    async with contextlib.AsyncExitStack() as stack:
        for server in servers(world):
            await stack.enter_async_context(_counted(server.url, found))
        yield found


@contextlib.asynccontextmanager
async def _counted(url: str, found: Commands) -> AsyncIterator[None]:
    """Let `found` take the commands of one server."""
    end = f"end of counting {id(found)}"
    client = Redis.from_url(url)
    async with client, client.monitor() as monitor:

        async def count() -> None:
            while end not in (told := await monitor.next_command())["command"]:
                found.take(told)

        counting = asyncio.create_task(count())
        yield
        await client.echo(end)  # everything before it was executed before it
        await counting


async def scripts_run(client: Redis) -> int:
    """Return how many scripts and functions Redis has run."""
    told = await client.info("commandstats")
    return sum(told.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "fcall"))
