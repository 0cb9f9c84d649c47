"""What is compared after a break of the link: what changed in it, or everything."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Self, cast

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.domain.changes import Changes
from rts_server.realtime import lost_publishes
from rts_server.realtime.lost_publishes import LostPublishes
from rts_server.realtime.room_feed import RoomFeed
from rts_server.redis_client.slots import slot_of
from rts_server.runtime.tasks import Tasks
from tests.helpers.waiting import eventually

ROOMS = [f"room-{n}" for n in range(5)]


class Heads:
    """A Redis in which every room stands at the same head; notes which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pipeline(self, transaction: bool) -> Self:
        """Collect questions."""
        self._questions: list[str] = []
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def execute_command(self, name: bytes, key: str, *fields: str) -> None:
        """Ask for fields of a hash."""
        assert name == b"HMGET"
        self._questions.append(key)

    async def execute(self, raise_on_error: bool) -> list[tuple[Any, Any]]:
        """Answer: the head is ahead by one."""
        self.asked += self._questions
        return [(b"1", b"9") for _ in self._questions]


class Feed:
    """A feed that missed a publish."""

    position = (1, 8)

    def __init__(self, room_id: str) -> None:
        self.room_id = room_id
        self.lagging = self.doubts = 0

    def mark_lagging(self) -> None:
        """Count."""
        self.lagging += 1

    def doubt(self) -> None:
        """Count."""
        self.doubts += 1


class Break:
    """Feeds after a break, and what is known of it."""

    def __init__(self) -> None:
        self.heads, self.tasks = Heads(), Tasks()
        self.feeds = {room_id: Feed(room_id) for room_id in ROOMS}
        self.changes: Changes | None = None
        self.failures = 0
        self.asked: list[float] = []
        self.partitions: list[Collection[int] | None] = []
        self.missed: list[Changes | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.publishes = LostPublishes(
            cast("Redis", self.heads),
            cast("dict[str, RoomFeed]", self.feeds),
            self._since,
            on_missed=self.missed.append,
            start_task=self.tasks.keep,
        )

    async def _since(self, seconds: float, partitions: Collection[int] | None) -> Changes | None:
        self.asked.append(seconds)
        self.partitions.append(partitions)
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        return self.changes

    def resumed(self, seconds_ago: float, slots: Collection[int] | None = None) -> None:
        """Have the link again; something was missed since then."""
        self.publishes.resumed(asyncio.get_running_loop().time() - seconds_ago, slots)


@pytest.fixture
def broken() -> Break:
    return Break()


async def test_after_a_break_only_rooms_that_changed_are_compared(broken: Break) -> None:
    """Those that are heard here; their unread counts are read again before their next use."""
    broken.changes = Changes(3.0, {"room-1", "elsewhere"}, {})
    broken.resumed(3.0)
    await eventually(lambda: broken.missed)
    assert broken.missed == [broken.changes]
    assert broken.heads.asked == [keys.room("room-1").head]
    marks = {r: (feed.lagging, feed.doubts) for r, feed in broken.feeds.items()}
    assert marks == dict.fromkeys(ROOMS, (0, 0)) | {"room-1": (1, 1)}


async def test_after_a_break_of_which_nothing_is_known_all_are_compared(broken: Break) -> None:
    """It was too long, or a relay of an older release runs."""
    broken.resumed(float("inf"))
    await eventually(lambda: broken.missed)
    assert broken.missed == [None]
    assert set(broken.heads.asked) == {keys.room(room_id).head for room_id in ROOMS}
    assert all(feed.lagging == feed.doubts == 1 for feed in broken.feeds.values())


async def test_a_repair_that_fails_is_repeated_from_the_beginning_of_the_break(
    broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would notice what was missed."""
    monkeypatch.setattr(lost_publishes, "backoff", lambda failures: 0.0)
    broken.failures = 3
    broken.resumed(5.0)
    await eventually(lambda: broken.missed)
    assert len(broken.asked) == 4
    assert min(broken.asked) >= 5.0
    assert broken.missed == [None]


async def test_a_break_during_the_repair_of_another_one_is_repaired_with_it(broken: Break) -> None:
    """What is told about both reaches back to the first."""
    broken.gate.clear()
    broken.resumed(50.0)
    await eventually(lambda: broken.asked)
    broken.resumed(1.0)
    broken.gate.set()
    await eventually(lambda: broken.missed)
    assert min(broken.asked) >= 50.0
    assert (len(broken.asked), len(broken.missed)) == (2, 1)


async def test_after_a_break_of_some_slots_their_rooms_alone_are_compared(broken: Break) -> None:
    """Whatever is known of it; what changed for users is asked of all primaries."""
    partition = keys.partition("room-2")
    slots = {slot_of(keys.room("room-2").head), slot_of("user")}
    broken.resumed(float("inf"), slots)
    await eventually(lambda: broken.missed)
    assert broken.partitions == [{partition}, None]
    assert broken.heads.asked == [keys.room("room-2").head]


async def test_breaks_of_several_slots_are_one(broken: Break) -> None:
    """And with one of all, it is one of all."""
    broken.gate.clear()
    rooms = ("room-1", "room-2")
    for room_id in rooms:
        broken.resumed(float("inf"), {slot_of(keys.room(room_id).head)})
    broken.gate.set()
    await eventually(lambda: broken.missed)
    assert {keys.room(room_id).head for room_id in rooms} == set(broken.heads.asked)
    broken.missed.clear()
    broken.heads.asked.clear()
    broken.gate.clear()
    broken.resumed(float("inf"), {slot_of(keys.room("room-1").head)})
    broken.resumed(float("inf"))
    broken.gate.set()
    await eventually(lambda: broken.missed)
    assert set(broken.heads.asked) == {keys.room(room_id).head for room_id in ROOMS}
