"""Helpers of tests in which Redis loses appends."""

from __future__ import annotations

import asyncio

from rts_server.roomlog.pending_write import PendingWrite
from tests.helpers.deployed import Deployed
from tests.helpers.waiting import PATIENCE


async def ends(*dones: PendingWrite) -> set[str]:
    """The durabilities of some writes."""
    async with asyncio.timeout(PATIENCE):
        return {await done.durability for done in dones}


async def until_replayed(deployed: Deployed, count: int) -> None:
    """Wait until so many appends are in the outbox again; only barriers leave it meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while True:
            waiting = await deployed.outbox()
            barriers = [one for one in waiting if b'"barrier"' in one[2][b"d"]]
            deployed.deliver(fields for _, _, fields in barriers)
            for stream, entry, _ in barriers:
                await deployed.redis.xdel(stream, entry)
            if len(waiting) - len(barriers) >= count:
                return
            await asyncio.sleep(0.01)


async def texts(deployed: Deployed, room_id: str) -> list[str]:
    """The texts of the archive's history, oldest first."""
    page = await deployed.services.archive.page(room_id, limit=100)
    return [one["text"] for one in page if one["type"] == "text"]
