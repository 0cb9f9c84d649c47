"""Changes of a room."""

from __future__ import annotations

from typing import cast

import pytest

from rts_server import errors
from rts_server.domain.room import RoomChange
from tests.helpers.deployed import Deployed, end


async def test_a_member_without_the_role_may_request_the_present_state(
    deployed: Deployed,
) -> None:
    """An update that changes nothing succeeds; a lost update of the owner is replayed over it."""
    room_id = await deployed.group("alice", "bob")
    rooms = deployed.services.rooms
    with pytest.raises(errors.Forbidden):
        await rooms.update(room_id, "bob", {"name": "bob's"})
    other = Deployed(deployed.settings, deployed.redis)
    async with other:
        lost = await rooms.update(room_id, "alice", {"name": "alice's"})
        pending = list(deployed.services.durability._pending.values())
        for one in pending:
            one.next_poll += 60.0
        await deployed.redis.flushall()
        async with deployed.relaying():
            same = await other.services.rooms.update(
                room_id, "bob", cast(RoomChange, {"name": None})
            )
            assert await end(same) == "stored"
            for one in pending:
                one.next_poll = 0.0
            assert await end(lost) == "stored"
    stored = await deployed.services.archive.room(room_id)
    assert stored is not None
    assert stored.room is not None
    assert stored.room["name"] == "alice's"


async def test_an_update_that_changes_nothing_is_stored_once_its_state_is(
    deployed: Deployed,
) -> None:
    """It appends nothing, and is as durable as the change that made the room so."""
    room_id = await deployed.group("alice")
    rooms = deployed.services.rooms
    first = await rooms.update(room_id, "alice", {"name": "Z"})
    same = await rooms.update(room_id, "alice", {"name": "Z"})
    assert same.result is None
    assert not same.durability.done()
    await deployed.store()
    assert {await end(first), await end(same)} == {"stored"}
