"""A rename walks through the rooms of a user; the routes are in rest/test_users.py."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from rts_server import errors
from rts_server.persistence.user_rooms import IndexedMembership
from rts_server.roomlog.request import AppendRequest
from rts_server.rooms.display_names import ROOMS_AT_ONCE, DisplayNames


class Rooms:
    """Memberships and logs of rooms. `refusals`: what a room answers, once."""

    def __init__(self, count: int, refusals: dict[str, errors.Refusal]) -> None:
        self.ids = [f"r{number}" for number in range(count)]
        self.refusals = refusals
        self.appended: list[str] = []
        self.most = self._now = 0

    async def current(self, user_id: str) -> list[IndexedMembership]:
        """The rooms of the user."""
        return [IndexedMembership(room_id, 1, 1, "in") for room_id in self.ids]

    async def append(self, request: AppendRequest) -> AppendRequest:
        """Append, or refuse."""
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        if refusal := self.refusals.pop(request.room_id, None):
            raise refusal
        assert (request.actor, request.new_names) == ("ops", (("alice", "Alice B."),))
        self.appended.append(request.room_id)
        return request


async def renamed(rooms: Rooms) -> list[Any]:
    """Rename Alice."""
    names = DisplayNames(cast(Any, rooms), cast(Any, rooms))
    return list(await names.rename("ops", "alice", "Alice B."))


async def test_each_room_is_written_once_and_some_at_a_time() -> None:
    """A room that was deleted meanwhile is left out."""
    rooms = Rooms(2 * ROOMS_AT_ONCE + 5, {"r3": errors.NotFound(), "r4": errors.Gone()})
    assert len(await renamed(rooms)) == 2 * ROOMS_AT_ONCE + 3
    assert sorted(rooms.appended) == sorted({*rooms.ids} - {"r3", "r4"})
    assert rooms.most == ROOMS_AT_ONCE


async def test_a_repetition_does_the_rest() -> None:
    """A room that is unavailable fails the whole request, after the rooms before it."""
    rooms = Rooms(3 * ROOMS_AT_ONCE, {f"r{ROOMS_AT_ONCE}": errors.Unavailable()})
    with pytest.raises(errors.Unavailable):
        await renamed(rooms)
    assert {*rooms.ids[:ROOMS_AT_ONCE]} <= {*rooms.appended} < {*rooms.ids}
    assert len(await renamed(rooms)) == 3 * ROOMS_AT_ONCE
    assert {*rooms.appended} == {*rooms.ids}
