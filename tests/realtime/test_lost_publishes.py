"""Checks for lost publishes: some rooms and users in turn, all of them after a break."""

from __future__ import annotations

from typing import Any, Self, cast

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.realtime import lost_publishes
from rts_server.realtime.listener import Listener
from rts_server.realtime.lost_publishes import LostPublishes
from rts_server.realtime.lost_rooms import LostRooms
from rts_server.realtime.room_feed import RoomFeed

ROOMS = [f"room-{n}" for n in range(5)]


class Heads:
    """A Redis in which every room is at (1, 9), and every index at one version."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pipeline(self, transaction: bool) -> Self:
        """Return itself as a pipeline."""
        return self

    async def __aenter__(self) -> Self:
        self._count = 0
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def hmget(self, key: str, *fields: str) -> None:
        """Note what is asked for."""
        self.asked.append(key)
        self._count += 1

    async def execute(self) -> list[Any]:
        """Return a position for each question."""
        return [(b"1", b"9")] * self._count


class Feed:
    """A feed that lost its last publish."""

    position = (1, 8)

    def __init__(self, room_id: str) -> None:
        self.room_id = room_id
        self.lagging = 0

    def mark_lagging(self) -> None:
        """Count."""
        self.lagging += 1


@pytest.fixture
def heads() -> Heads:
    return Heads()


@pytest.fixture
def feeds() -> dict[str, Feed]:
    return {room_id: Feed(room_id) for room_id in ROOMS}


@pytest.fixture
def checks(heads: Heads, feeds: dict[str, Feed], monkeypatch: pytest.MonkeyPatch) -> LostPublishes:
    """Checks of two rooms and two users at a time."""
    monkeypatch.setattr(lost_publishes, "ROOMS_PER_CHECK", 2)
    rooms = cast("dict[str, RoomFeed]", feeds)
    listeners: dict[str, set[Listener]] = {f"user-{n}": set() for n in range(3)}

    async def compared(user_id: str) -> None:
        return None

    return LostPublishes(
        cast("Redis", heads),
        rooms,
        listeners,
        lost_rooms=LostRooms(rooms, None, lambda work: None),
        rooms_changed=compared,
        interval=0.0,
    )


async def test_a_check_compares_some_rooms_and_users_and_all_have_their_turn(
    checks: LostPublishes, heads: Heads, feeds: dict[str, Feed]
) -> None:
    """What a check costs does not grow with their number; every lost publish is noticed."""
    for _ in range(3):
        heads.asked.clear()
        await checks.check_later()
        assert len(heads.asked) <= 4
    assert [feed.lagging for feed in feeds.values()] == [1] * len(ROOMS)
    await checks.check_later()
    assert feeds["room-0"].lagging == 2


async def test_after_a_break_all_are_compared(checks: LostPublishes, heads: Heads) -> None:
    """Publishes of any room may have been missed."""
    await checks.check()
    assert {keys.room(room_id).head for room_id in ROOMS} <= set(heads.asked)
    assert {keys.user_rooms(f"user-{n}") for n in range(3)} <= set(heads.asked)
