"""The files of a deleted room, and those of an erased user."""

from __future__ import annotations

import asyncio

import pytest

from tests.files.form import citing, uploaded
from tests.files.samples import png
from tests.flows.test_commands import ok
from tests.flows.test_files import keys
from tests.rest.client import Rest
from tests.rest.test_rooms import group, member
from tests.world import World, name, until

pytestmark = pytest.mark.timeout(60)

PICTURE = png(blank=500)


async def test_the_files_of_a_deleted_room_go_with_it(world: World, operator: Rest) -> None:
    """Cited ones and uncited ones, and what tells who cites them; another room keeps its own."""
    alice = name("alice")
    gone, stays = [await group(operator, member(alice)) for _ in range(2)]
    async with world.js(alice) as a:
        for room_id in (gone, stays):
            attachment = await uploaded(a, room_id, PICTURE)
            await ok(a, "message.send", citing(room_id, attachment))
            await uploaded(a, room_id, PICTURE, name="uncited.png")
        assert keys(world, gone) == {"files", "cited"}
        await operator.ok("DELETE", f"/v1/rooms/{gone}")
        await asyncio.to_thread(until, lambda: keys(world, gone) == set(), 20)
        assert keys(world, stays) == {"files", "cited"}
