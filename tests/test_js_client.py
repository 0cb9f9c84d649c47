"""The JavaScript client that the tests use."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.helpers.world import World, name


async def test_the_next_client_of_a_process_is_a_new_one(world: World) -> None:
    """It shares no connection and no event with the client before."""
    async with world.js(name("alice")) as first:
        process = first._process
        asked = asyncio.create_task(first.emit("room.list", {}, timeout=0.2))
        await asyncio.sleep(0)
    with suppress(ConnectionError):
        await asked
    async with world.js(name("bob")) as second:
        assert second._process is process
        answer = await second.emit("room.list", {})
        assert answer["data"]["rooms"] == []
        assert [line["kind"] for line in second.lines] == ["connect", "event", "ack"]
