"""What the load of a room costs the archive, in calls."""

from __future__ import annotations

from typing import Any

import pytest

from rts_server.persistence.archive import Archive
from tests.helpers.archive_calls import counted_calls
from tests.helpers.deployed import Deployed

FEW, MANY = 2, 40


@pytest.mark.parametrize("number", [FEW, MANY])
async def test_a_lost_room_is_loaded_by_a_fixed_number_of_calls(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whatever its members and messages: the room, the epoch, its members, and what does not count
    as unread; beside the looks whether its barrier is stored, which cost by time."""
    rooms: list[str] = []
    room = Archive.room

    async def counted(self: Archive, asked_room: str) -> Any:
        rooms.append(asked_room)
        return await room(self, asked_room)

    monkeypatch.setattr(Archive, "room", counted)
    users = [f"user-{n:03}" for n in range(number)]
    room_id = await deployed.group("alice", *users)
    for n in range(number):
        await deployed.send(room_id, "alice", f"m{n}")
    await deployed.store()
    await deployed.redis.flushall()
    rooms.clear()
    with counted_calls(deployed.services.archive) as asked:
        async with deployed.relaying():
            await deployed.services.room_log.load_if_cold(room_id)
    print(dict(asked))
    looks = asked.pop("_batch") - len(rooms)  # for the barrier
    assert rooms == [room_id] * 3  # first, and before and after the epoch
    assert looks >= 1
    assert asked == {"items": 2 * (3 + looks), "_open_epoch": 1, "_under": 2}
