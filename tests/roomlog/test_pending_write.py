"""The parts of an ack, also after a replay."""

from __future__ import annotations

import asyncio
from typing import Any

from rts_server.roomlog.pending import Durability, PendingAppend
from rts_server.roomlog.pending_write import PendingWrite
from rts_server.roomlog.request import AppendRequest, AppendResult
from rts_server.roomlog.template import Slot, placeholder
from tests.helpers.deployed import Deployed, end


def result(epoch: int, *, duplicate: bool = False) -> AppendResult:
    """A message at offset 7 of an epoch."""
    return AppendResult(
        epoch, 7, 3, f"time of {epoch}", frozenset(), {"go": ("bob",)}, "pending", duplicate
    )


async def test_an_ack_has_the_position_of_the_last_replay() -> None:
    """The first result says whether it is a duplicate, the last one has the position."""
    after: Any = {"text": "new", "edited_at": placeholder(Slot.TS)}
    request = AppendRequest("room", "id", (), after=after)
    durability: asyncio.Future[Durability] = asyncio.get_running_loop().create_future()
    pending = PendingAppend(request, result(1), durability, set())
    write = PendingWrite(result(1, duplicate=True), durability, "id", pending)
    pending.result = result(2)
    assert write.ack_position() == {
        "seq": 3,
        "epoch": 2,
        "offset": 7,
        "created_at": "time of 2",
        "duplicate": True,
    }
    acked = write.ack_message()
    assert acked is not None
    assert dict(acked["message"]) == {"text": "new", "edited_at": "time of 2"}
    assert (write.affected("go"), write.affected("join")) == (("bob",), ())


async def test_only_one_command_sends_the_status_event() -> None:
    """Two commands share an append; a write without an append sends none."""
    durability: asyncio.Future[Durability] = asyncio.get_running_loop().create_future()
    pending = PendingAppend(AppendRequest("room", "id", ()), result(1), durability, set())
    first, second = (PendingWrite(result(1), durability, "id", pending) for _ in range(2))
    assert [second.claim_status_event(), first.claim_status_event()] == [True, False]
    nothing = PendingWrite(None, durability)
    assert not nothing.claim_status_event()
    assert nothing.ack_message() is None
    assert nothing.affected("go") == ()


async def test_added_members_are_acked_with_the_time_that_is_stored(deployed: Deployed) -> None:
    """Lost and added again, they joined later; members already there keep their time."""
    room_id = await deployed.group("alice", "bob")
    added = await deployed.services.memberships.add(room_id, "alice", ["bob", "eve"], "member")
    shown = await deployed.services.members.all(room_id)
    assert added.ack_members(shown) == shown
    await deployed.redis.flushall()
    async with deployed.relaying():
        assert await end(added) == "stored"
    stored = {one.user_id: one for one in await deployed.services.archive.members(room_id)}
    acked = {one["user_id"]: one["joined_at"] for one in added.ack_members(shown)}
    assert acked == {user_id: one.joined_at for user_id, one in stored.items()}
    assert acked["eve"] != next(one["joined_at"] for one in shown if one["user_id"] == "eve")
