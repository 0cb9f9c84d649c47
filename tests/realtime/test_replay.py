"""Replays: all missed events of a room or none, within one budget of bytes (D4)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rts_server.domain.position import Position
from rts_server.realtime.opening import COLD
from rts_server.realtime.replay import NOT_A_MEMBER, Replay, ReplayReader
from rts_server.views.snapshots import EventRange

HEAD: Position = (1, 3)
EVENTS = [f"1 {offset} {{}}".encode() for offset in (1, 2, 3)]
SIZE = sum(map(len, EVENTS))
SNAPSHOT = object()


class HotLog:
    """Returns the given ranges, and keeps the questions."""

    def __init__(self, *ranges: EventRange) -> None:
        self.ranges = ranges
        self.questions: list[tuple[str, Position, int]] = []

    async def events_since(
        self, asked: Sequence[tuple[str, Position, int]], user_id: str = "", budget: int = 0
    ) -> Sequence[EventRange]:
        """Return the ranges in order, as many as there are."""
        self.questions.extend(asked)
        return self.ranges[: len(asked)]

    async def read_many(self, asked: object) -> Sequence[None]:
        """Not used by replays."""
        raise NotImplementedError


async def replays(
    log: HotLog,
    starts: dict[str, Position | None],
    cursors: dict[str, Position],
    max_bytes: int = 10_000,
) -> dict[str, Replay]:
    """The replays of rooms whose streams begin at the given positions."""
    reader = ReplayReader(log, max_events=100, max_bytes=max_bytes)
    known = {room_id: Replay(start, None, [], SNAPSHOT) for room_id, start in starts.items()}
    return await reader.read("alice", known, cursors)


async def test_missed_events_end_where_the_stream_begins() -> None:
    """The live stream has the later ones, and no event comes twice."""
    found = await replays(HotLog(EventRange(HEAD, EVENTS)), {"r": (1, 2)}, {"r": (1, 0)})
    assert found == {"r": Replay((1, 2), True, EVENTS[:2], SNAPSHOT)}


async def test_only_warm_rooms_with_a_cursor_are_read() -> None:
    """A cold room has no hot log, and a room without a cursor has nothing to continue."""
    log = HotLog()
    starts = {"new": HEAD, "cold": COLD, "left": None}
    found = await replays(log, starts, {"cold": (1, 1), "left": (1, 1)})
    assert found == {room: Replay(start, None, [], SNAPSHOT) for room, start in starts.items()}
    assert log.questions == []


@pytest.mark.parametrize("events", [None, EVENTS[:2]], ids=["trimmed", "beyond the limit"])
async def test_missed_events_are_returned_whole_or_not_at_all(events: list[bytes] | None) -> None:
    """The client lists the messages again instead of seeing a hole."""
    log = HotLog(EventRange(HEAD, events))
    found = await replays(log, {"r": HEAD}, {"r": (1, 0)})
    assert found == {"r": Replay(HEAD, False, [], SNAPSHOT)}


async def test_rooms_share_one_budget_of_bytes() -> None:
    """A room that does not fit any more is not recovered, and leaves the budget to the next."""
    ranges = [EventRange(HEAD, EVENTS), EventRange(HEAD, EVENTS), EventRange(HEAD, EVENTS[2:])]
    rooms = ("a", "b", "c")
    cursors: dict[str, Position] = dict.fromkeys(rooms, (1, 0)) | {"c": (1, 2)}
    found = await replays(
        HotLog(*ranges), dict.fromkeys(rooms, HEAD), cursors, SIZE + len(EVENTS[2])
    )
    assert [found[room].recovered for room in rooms] == [True, False, True]


async def test_the_first_room_is_within_the_budget_too() -> None:
    """One room may not exceed the bytes of a connect either."""
    found = await replays(HotLog(EventRange(HEAD, EVENTS)), {"r": HEAD}, {"r": (1, 0)}, SIZE - 1)
    assert found == {"r": Replay(HEAD, False, [], SNAPSHOT)}


async def test_rooms_that_redis_left_out_are_not_recovered() -> None:
    """Redis stops reading where its own count of bytes is used up."""
    log = HotLog(EventRange(HEAD, EVENTS))
    found = await replays(log, {"a": HEAD, "b": HEAD}, {"a": (1, 0), "b": (1, 0)})
    assert [found[room].recovered for room in ("a", "b")] == [True, False]


async def test_a_user_who_was_removed_meanwhile_gets_nothing() -> None:
    """Membership is read once more with the events, in one script (A1)."""
    log = HotLog(EventRange(HEAD, EVENTS, is_member=False))
    assert await replays(log, {"r": HEAD}, {"r": (1, 0)}) == {"r": NOT_A_MEMBER}
